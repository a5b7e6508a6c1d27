"""The audit trail: written in a chain, read in pages, and no change to it goes unnoticed."""

import asyncio
import json
import sqlite3
from contextlib import closing

import pytest

from controlplane.store.db import Database
from controlplane.tenants.audit import Audit
from controlplane.tenants.model import AuditSummary, AuditVerification
from flockpy.errors import BadRequest
from tests.unit.controlplane.helpers import NOON, HandClock


@pytest.fixture
def audit(database: Database, clock: HandClock) -> Audit:
    return Audit(database, clock)


async def fill(audit: Audit, entries: int) -> None:
    for number in range(1, entries + 1):
        await audit.record(f"actor{number % 2}", "token.create", f"k_{number}", json.dumps({"n": number}))


def tamper(database: Database, *statements: str) -> None:
    with closing(sqlite3.connect(database.path)) as other, other:
        for statement in statements:
            other.execute(statement)


async def test_an_entry_says_who_did_what_to_what_and_when(audit: Audit, clock: HandClock):
    await fill(audit, 1)
    clock.now += 5
    await audit.record("admin", "node.drain", "n_1", "{}")
    [second, first], cursor = await audit.recent(10)
    assert cursor is None
    assert (first.id, first.time, first.actor, first.action, first.target, first.detail) == (
        *("a_1", NOON, "actor1", "token.create", "k_1", '{"n": 1}'),
    )
    assert first.previous_hash == ""
    assert second.previous_hash == first.hash
    assert second.time == NOON + 5


async def test_pages_meet_without_gap_or_overlap_while_entries_come_in(audit: Audit):
    await fill(audit, 7)
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = await audit.recent(3, cursor)
        seen += [entry.id for entry in page]
        if cursor is None:
            break
        await audit.record("late", "x", "y", "{}")
    assert seen == [f"a_{number}" for number in range(7, 0, -1)]


async def test_entries_of_one_actor_can_be_asked_for(audit: Audit):
    await fill(audit, 5)
    page, cursor = await audit.recent(2, actor="actor1")
    assert [entry.id for entry in page] == ["a_5", "a_3"]
    page, cursor = await audit.recent(2, cursor, actor="actor1")
    assert ([entry.id for entry in page], cursor) == (["a_1"], None)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "", "9" * 30, "²"])
async def test_a_cursor_that_is_none_of_ours_is_a_bad_request(audit: Audit, cursor: str):
    with pytest.raises(BadRequest) as refusal:
        await audit.recent(3, cursor)
    assert refusal.value.field == "cursor"


async def test_the_summary_counts_actors_and_actions(audit: Audit):
    await fill(audit, 5)
    await audit.record("actor0", "node.drain", "n_1", "{}")
    assert await audit.summary() == AuditSummary(
        6, {"actor0": 3, "actor1": 3}, {"token.create": 5, "node.drain": 1}
    )


async def test_a_key_never_gets_into_the_trail(audit: Audit, database: Database):
    key = "sk-orc-" + "A1b2" * 10
    await audit.record(key, "token.revoke", key, json.dumps({"key": key}))
    [entry], _ = await audit.recent(1)
    assert json.loads(entry.detail) == {"key": "sk-orc-A1b2…"}
    assert key not in repr(entry)
    assert (await audit.verify()).ok


async def test_an_untouched_chain_verifies_also_when_written_from_many_tasks_at_once(audit: Audit):
    assert await audit.verify() == AuditVerification(True, 0)
    await asyncio.gather(*(audit.record("a", "b", "c", str(number)) for number in range(20)))
    assert await audit.verify() == AuditVerification(True, 20)
    assert [entry.id async for entry in audit.export()] == [f"a_{number}" for number in range(1, 21)]


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE audit SET detail = '{}' WHERE seq = 3", "a_3"),
        ("UPDATE audit SET actor = 'someone else' WHERE seq = 3", "a_3"),
        ("UPDATE audit SET time = time + 1 WHERE seq = 3", "a_3"),
        ("UPDATE audit SET hash = x'00' WHERE seq = 3", "a_3"),
        ("DELETE FROM audit WHERE seq = 3", "a_3"),
        ("DELETE FROM audit WHERE seq = 1", "a_1"),
        ("DELETE FROM audit WHERE seq >= 4", "a_4"),
        ("DELETE FROM audit", "a_1"),
        (
            "INSERT INTO audit SELECT 6, time, actor, action, target, detail, hash, previous_hash"
            " FROM audit WHERE seq = 5",
            "a_6",
        ),
    ],
)
async def test_whatever_is_done_to_the_table_shows_at_the_first_bad_entry(
    audit: Audit, database: Database, statement: str, first_bad: str
):
    await fill(audit, 5)
    tamper(database, statement)
    found = await audit.verify()
    assert (found.ok, found.first_bad) == (False, first_bad)


async def test_the_chain_goes_on_after_a_restart(audit: Audit, database: Database, clock: HandClock):
    await fill(audit, 3)
    await fill(Audit(database, clock), 2)
    assert await audit.verify() == AuditVerification(True, 5)
