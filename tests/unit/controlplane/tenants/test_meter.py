"""The meter: quotas reserved and settled, one record for each admission."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.store.db import Database
from controlplane.store.usage import load_drained
from controlplane.tenants import ledger as ledger_module
from controlplane.tenants.estimate import TEMPLATE_TOKENS
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.meter import SHORT_ANSWER, Admission, Meter
from controlplane.tenants.quota import DAY_S, Quota
from flockpy.errors import Overloaded, QuotaSpent
from tests.unit.controlplane.helpers import NOON, HandClock, a_key, a_record, a_ticket

SEGMENT = 64 * 2**10
PROMPT = TEMPLATE_TOKENS + 100
"""What the prompt of `a_ticket` is estimated at."""
MOST = TEMPLATE_TOKENS + 300
"""What it can be at most: a token for each byte."""


@pytest.fixture
async def ledger(database: Database, tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(database, tmp_path / "journal", SEGMENT)
    await ledger.recover()
    yield ledger
    await ledger.stop()


@pytest.fixture
async def meter(ledger: Ledger, database: Database, clock: HandClock) -> Meter:
    meter = Meter(ledger, database, clock)
    await meter.load()
    return meter


async def test_what_is_reserved_is_the_prompt_and_max_tokens(meter: Meter):
    key = a_key(daily_token_quota=1000)
    admission = meter.admit(a_ticket(key=key, max_tokens=200))
    assert (admission.prompt_tokens, admission.reserved) == (PROMPT, MOST + 200)
    assert admission.max_tokens_cap is None
    assert meter.standing(key) == Quota(1000, 20_000, reserved=MOST + 200)
    admission.settle(a_record(prompt_tokens=90, completion_tokens=30))
    assert meter.standing(key) == Quota(1000, 20_000, used=120)


async def test_a_request_never_costs_more_than_the_window(meter: Meter):
    key = a_key(daily_token_quota=10_000)
    admission = meter.admit(a_ticket(key=key, max_tokens=64_000, context_window=4096))
    assert admission.reserved == 4096


async def test_without_max_tokens_a_quota_sets_a_cap_that_leaves_room_for_others(meter: Meter):
    key = a_key(daily_token_quota=100_000)
    first = meter.admit(a_ticket("req_1", key=key))
    assert (first.reserved, first.max_tokens_cap) == (50_000, 50_000 - MOST)
    second = meter.admit(a_ticket("req_2", key=key, context_window=30_000))
    assert (second.reserved, second.max_tokens_cap) == (25_000, 25_000 - MOST)


async def test_a_request_that_may_fill_its_window_needs_no_cap(meter: Meter):
    key = a_key(daily_token_quota=100_000)
    admission = meter.admit(a_ticket(key=key, context_window=8192))
    assert (admission.reserved, admission.max_tokens_cap) == (8192, None)


async def test_a_prompt_guessed_too_high_still_gets_an_answer(meter: Meter):
    """An image is many bytes and few tokens; a cap made of what the guess leaves over would be one token."""
    key = a_key(daily_token_quota=100_000)
    admission = meter.admit(a_ticket(key=key, prompt_bytes=10**6, context_window=8192))
    assert (admission.reserved, admission.max_tokens_cap) == (8192, None)


async def test_several_choices_cost_several_answers(meter: Meter):
    key = a_key(daily_token_quota=100_000)
    asked = meter.admit(a_ticket("req_1", key=key, max_tokens=3 * 5000, choices=3, context_window=8192))
    assert asked.reserved == MOST + 15_000
    free = meter.admit(a_ticket("req_2", key=key, choices=3, context_window=30_000))
    assert free.max_tokens_cap is not None
    assert free.reserved == MOST + 3 * free.max_tokens_cap <= 85_000 // 2


async def test_near_the_end_of_a_quota_a_short_answer_is_still_given(meter: Meter):
    key = a_key(daily_token_quota=MOST + SHORT_ANSWER + 50)
    assert meter.admit(a_ticket(key=key)).max_tokens_cap == SHORT_ANSWER
    last = a_key(id="k_2", daily_token_quota=PROMPT + 7)
    assert meter.admit(a_ticket("req_2", key=last)).max_tokens_cap == 7


async def test_embeddings_reserve_their_prompt_alone(meter: Meter):
    key = a_key(daily_token_quota=1000)
    admission = meter.admit(a_ticket(key=key, surface="embeddings"))
    assert (admission.reserved, admission.max_tokens_cap) == (MOST, None)


async def test_prompts_denser_than_guessed_cannot_race_past_the_quota(meter: Meter):
    """Only the last one, which runs alone, may cost more than was left."""
    key = a_key(daily_token_quota=6000)
    used = count = 0
    running: list[Admission] = []
    while used < 6000:
        try:
            count += 1
            running.append(meter.admit(a_ticket(f"req_{count}", key=key, prompt_bytes=2000, max_tokens=8)))
        except QuotaSpent:
            if not running:
                break
            for admission in running:
                record = a_record(admission.ticket.request_id, prompt_tokens=2000, completion_tokens=8)
                admission.settle(record)
                used += 2008
            running = []
    assert 6000 - 2008 < used <= 6000 + 2008


async def test_a_spent_quota_names_what_remains_and_when_it_is_whole_again(meter: Meter):
    key = a_key(daily_token_quota=500)
    meter.admit(a_ticket("req_1", key=key, max_tokens=100)).settle(
        a_record("req_1", prompt_tokens=100, completion_tokens=80)
    )
    running = meter.admit(a_ticket("req_2", key=key, max_tokens=100))
    with pytest.raises(QuotaSpent, match=r"0 of 500 remain, 320 are held.*in 12 h 0 min") as refusal:
        meter.admit(a_ticket("req_3", key=key, max_tokens=100))
    assert (refusal.value.remaining, refusal.value.reset_in_s) == (0, DAY_S / 2)
    assert refusal.value.retry_after is None
    assert meter.in_flight == 1
    running.settle(a_record("req_2", prompt_tokens=0, completion_tokens=0, outcome="refused", status=503))
    meter.admit(a_ticket("req_3", key=key, max_tokens=100))


async def test_a_refused_request_leaves_no_record(meter: Meter, ledger: Ledger, database: Database):
    with pytest.raises(QuotaSpent):
        meter.admit(a_ticket(key=a_key(daily_token_quota=1)))
    await ledger.drain()
    assert (await load_drained(database)).totals.records == 0


async def test_settling_twice_or_for_another_request_is_a_programming_error(meter: Meter):
    one, other = meter.admit(a_ticket("req_1")), meter.admit(a_ticket("req_2"))
    with pytest.raises(RuntimeError):
        one.settle(a_record("req_2"))
    one.settle(a_record("req_1"))
    with pytest.raises(RuntimeError):
        one.settle(a_record("req_1"))
    other.settle(a_record("req_2"))


async def test_a_restart_remembers_what_was_used_today(
    meter: Meter, ledger: Ledger, database: Database, clock: HandClock
):
    key = a_key(daily_token_quota=1000)
    yesterday = NOON - DAY_S
    meter.admit(a_ticket("req_0", time=yesterday)).settle(a_record("req_0", time=yesterday))
    meter.admit(a_ticket("req_1", key=key)).settle(a_record("req_1", prompt_tokens=200, completion_tokens=50))
    await ledger.drain()
    restarted = Meter(ledger, database, clock)
    await restarted.load()
    assert restarted.standing(key) == meter.standing(key) == Quota(1000, 20_000, used=250)
    clock.now += DAY_S
    assert restarted.standing(key) == Quota(1000, 20_001)


async def test_keys_without_a_quota_and_requests_without_a_key_are_metered_too(
    meter: Meter, ledger: Ledger, database: Database
):
    for number, key in enumerate((None, a_key())):
        admission = meter.admit(a_ticket(f"req_{number}", key=key, context_window=4096))
        assert admission.max_tokens_cap is None
        admission.settle(a_record(f"req_{number}"))
    assert meter.standing(a_key()) is None
    await ledger.drain()
    assert (await load_drained(database)).totals.records == 2


async def test_what_engines_count_sharpens_the_estimate(meter: Meter):
    long = a_ticket("req_1", prompt_bytes=4000)
    meter.admit(long).settle(a_record("req_1", prompt_tokens=4000))
    assert meter.admit(a_ticket("req_2", prompt_bytes=4000)).prompt_tokens >= 4000
    assert meter.admit(a_ticket("req_3", prompt_bytes=4000, model="other")).prompt_tokens < 2000


async def test_nothing_is_admitted_or_reserved_while_usage_cannot_be_recorded(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger_module, "WAITING_LIMIT", 0)
    key = a_key(daily_token_quota=1000)
    with pytest.raises(Overloaded, match="Usage cannot be recorded"):
        meter.admit(a_ticket(key=key))
    assert meter.standing(key) == Quota(1000, 20_000)
    assert meter.in_flight == 0
    await asyncio.sleep(0)


async def test_a_request_that_turns_to_a_wider_model_holds_back_what_it_may_cost_there(meter: Meter):
    key = a_key(daily_token_quota=100_000)
    admission = meter.admit(a_ticket(key=key, max_tokens=64_000, context_window=4096))
    admission.turn_to("wide", 200_000)
    assert admission.reserved == MOST + 64_000
    assert meter.standing(key) == Quota(100_000, 20_000, reserved=MOST + 64_000)
    admission.settle(a_record(model="wide", prompt_tokens=90, completion_tokens=50_000))
    assert meter.standing(key) == Quota(100_000, 20_000, used=50_090)


async def test_one_that_needed_no_bound_in_a_small_window_gets_one_in_a_wide_one(meter: Meter):
    key = a_key(daily_token_quota=100_000)
    admission = meter.admit(a_ticket(key=key, context_window=8192))
    assert admission.max_tokens_cap is None
    admission.turn_to("wide", 0)
    assert (admission.reserved, admission.max_tokens_cap) == (50_000, 50_000 - MOST)


async def test_a_wider_model_that_the_quota_does_not_cover_is_not_turned_to(meter: Meter):
    key = a_key(daily_token_quota=10_000)
    first = meter.admit(a_ticket("req_1", key=key, max_tokens=64_000, context_window=4096))
    with pytest.raises(QuotaSpent):
        first.turn_to("wide", 200_000)
    assert (first.reserved, meter.standing(key)) == (4096, Quota(10_000, 20_000, reserved=4096))
    first.settle(a_record("req_1", prompt_tokens=0, completion_tokens=0))
    assert meter.standing(key) == Quota(10_000, 20_000)


async def test_what_others_of_its_key_hold_counts_when_a_request_turns(meter: Meter):
    key = a_key(daily_token_quota=10_000)
    first = meter.admit(a_ticket("req_1", key=key, max_tokens=6000, context_window=4096))
    second = meter.admit(a_ticket("req_2", key=key, max_tokens=6000, context_window=4096))
    with pytest.raises(QuotaSpent):
        first.turn_to("wide", 200_000)
    second.settle(a_record("req_2", prompt_tokens=0, completion_tokens=0))
    first.turn_to("wide", 200_000)
    assert first.reserved == MOST + 6000


async def test_turning_to_a_smaller_model_gives_nothing_back(meter: Meter):
    key = a_key(daily_token_quota=100_000)
    admission = meter.admit(a_ticket(key=key, max_tokens=10_000))
    admission.turn_to("small", 4096)
    assert admission.reserved == MOST + 10_000
    keyless = meter.admit(a_ticket("req_2", max_tokens=10_000))
    keyless.turn_to("wide", 0)
    assert keyless.reserved == PROMPT


async def test_a_request_that_turns_on_the_next_day_takes_nothing_of_it(meter: Meter, clock: HandClock):
    key = a_key(daily_token_quota=10_000)
    admission = meter.admit(a_ticket("req_1", key=key, max_tokens=4000, context_window=4096))
    clock.now = NOON + DAY_S
    meter.admit(a_ticket("req_2", key=key, time=clock.now, max_tokens=4000, context_window=4096))
    admission.turn_to("wide", 0)
    assert meter.standing(key) == Quota(10_000, 20_001, reserved=4096)
