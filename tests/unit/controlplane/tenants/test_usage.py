"""Reading usage back: pages, aggregates, export."""

import pytest

from controlplane.store.db import Database
from controlplane.store.usage import append_usage, load_drained, tokens_since
from controlplane.tenants.accounts import Drained, Position, Totals, add
from controlplane.tenants.model import ModelUsage
from controlplane.tenants.usage import Usage
from tests.unit.controlplane.helpers import NOON, HandClock, a_record


@pytest.fixture
def usage(database: Database, clock: HandClock) -> Usage:
    return Usage(database, clock)


async def test_a_record_comes_back_as_it_went_in(usage: Usage, database: Database):
    records = [
        a_record("req_1"),
        a_record("req_2", ttft_ms=None, stream=False, cost_usd=0.25, outcome="refused", status=503),
    ]
    await append_usage(database, records, None)
    assert [record async for record in usage.export()] == records
    assert (await usage.recent(10))[0] == records[::-1]
    assert await usage.find("req_2") == records[1]
    assert await usage.find("req_3") is None


async def test_a_record_that_is_there_already_is_not_counted_again(database: Database):
    first = await append_usage(database, [a_record("req_1")], Position(1, 10))
    again = await append_usage(
        database, [a_record("req_1"), a_record("req_2"), a_record("req_2")], Position(1, 20)
    )
    assert first == Drained(Position(1, 10), add(Totals(), a_record("req_1")))
    assert again == Drained(Position(1, 20), add(first.totals, a_record("req_2")))
    assert await load_drained(database) == again
    assert again.totals.records == 2


async def test_pages_meet_without_gap_or_overlap_while_records_come_in(usage: Usage, database: Database):
    await append_usage(database, [a_record(f"req_{number}") for number in range(7)], None)
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = await usage.recent(3, cursor)
        seen += [record.request_id for record in page]
        if cursor is None:
            break
        await append_usage(database, [a_record(f"late_{cursor}")], None)
    assert seen == [f"req_{number}" for number in range(6, -1, -1)]


async def test_records_of_one_user_can_be_asked_for(usage: Usage, database: Database):
    await append_usage(database, [a_record(f"req_{n}", user="ab"[n % 2]) for n in range(5)], None)
    page, cursor = await usage.recent(2, user="a")
    assert [record.request_id for record in page] == ["req_4", "req_2"]
    page, cursor = await usage.recent(2, cursor, user="a")
    assert ([record.request_id for record in page], cursor) == (["req_0"], None)


async def test_the_export_is_whole_over_many_pages(usage: Usage, database: Database):
    await append_usage(database, [a_record(f"req_{number}") for number in range(1234)], None)
    assert [r.request_id async for r in usage.export()] == [f"req_{number}" for number in range(1234)]


async def test_the_summary_adds_up_what_came_since(usage: Usage, database: Database):
    old = a_record("old", time=NOON - 7200, prompt_tokens=10**6)
    good = [a_record(f"g{n}", time=NOON - 90, duration_ms=float(n)) for n in range(1, 101)]
    bad = [
        a_record("b1", time=NOON - 30, model="n", outcome="failed", duration_ms=9e9),
        a_record("b2", time=NOON - 30, model="n", outcome="refused"),
        a_record("b3", time=NOON - 30, model="n", outcome="cancelled"),
    ]
    await append_usage(database, [old, *good, *bad], None)
    summary = await usage.summary(NOON - 3600)
    assert (summary.requests, summary.prompt_tokens, summary.completion_tokens) == (103, 1030, 515)
    assert summary.cached_tokens == 206
    assert summary.models == (ModelUsage("m", 100, 1500), ModelUsage("n", 3, 45))
    assert (summary.p50_ms, summary.p95_ms, summary.p99_ms) == (50, 95, 99)
    assert summary.error_rate == pytest.approx(2 / 103)
    assert len(summary.requests_per_minute) == 60
    assert summary.requests_per_minute[-2:] == (100, 3)
    assert sum(summary.requests_per_minute) == 103


async def test_the_summary_says_what_vendors_take(usage: Usage, database: Database):
    paid = [a_record(f"p{n}", time=NOON, model="claude", cost_usd=0.25) for n in range(3)]
    await append_usage(database, [*paid, a_record("home", time=NOON)], None)
    summary = await usage.summary(NOON - 1)
    assert summary.cost_usd == 0.75
    assert {model.model: model.cost_usd for model in summary.models} == {"claude": 0.75, "m": 0.0}


async def test_a_summary_of_nothing_is_all_zeros(usage: Usage):
    summary = await usage.summary(0)
    assert (summary.requests, summary.error_rate, summary.p50_ms, summary.models) == (0, 0.0, None, ())
    assert summary.cost_usd == 0
    assert summary.requests_per_minute == (0,) * 60


async def test_percentiles_of_one_request_are_that_request(usage: Usage, database: Database):
    await append_usage(database, [a_record(duration_ms=7.5)], None)
    summary = await usage.summary(0)
    assert (summary.p50_ms, summary.p95_ms, summary.p99_ms) == (7.5, 7.5, 7.5)


async def test_tokens_of_today_are_summed_by_key(database: Database):
    await append_usage(
        database,
        [
            a_record("req_1", key_id="k_1", time=NOON - 1),
            a_record("req_2", key_id="k_1", time=NOON),
            a_record("req_3", key_id="k_1", time=NOON + 1),
            a_record("req_4", key_id="", time=NOON + 1),
        ],
        None,
    )
    assert await tokens_since(database, NOON) == {"k_1": 30, "": 15}
