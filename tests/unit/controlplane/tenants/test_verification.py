"""Usage that was lost, added or changed after the fact is found, and named where the journal still knows it."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from controlplane.store.db import Database
from controlplane.tenants.accounts import Totals, add
from controlplane.tenants.ledger import Ledger
from tests.unit.controlplane.helpers import a_record

RECORDS = 30


@pytest.fixture
async def ledger(database: Database, tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(database, tmp_path / "journal", 64 * 2**10)
    await ledger.recover()
    for number in range(RECORDS):
        ledger.close(a_record(f"req_{number}"))
    await ledger.drain()
    yield ledger
    await ledger.stop()


async def without_journal(ledger: Ledger, database: Database, tmp_path: Path) -> Ledger:
    """The same table after a restart: its segments have been given up."""
    await ledger.stop()
    later = Ledger(database, tmp_path / "journal", 64 * 2**10)
    await later.recover()
    return later


def tamper(database: Database, statement: str) -> None:
    with closing(sqlite3.connect(database.path)) as other, other:
        other.execute(statement)


async def test_an_untouched_table_verifies_and_shows_its_figures(ledger: Ledger):
    found = await ledger.verify()
    assert found.problems == ()
    assert (found.ok, found.records, found.expected_records) == (True, RECORDS, RECORDS)
    assert (found.prompt_tokens, found.completion_tokens) == (10 * RECORDS, 5 * RECORDS)
    assert (found.expected_prompt_tokens, found.expected_completion_tokens) == (10 * RECORDS, 5 * RECORDS)
    assert (found.journal_records, found.pending, found.duplicates) == (RECORDS, 0, 0)


@pytest.mark.parametrize(
    ("statement", "missing", "altered", "problem"),
    [
        ("DELETE FROM usage WHERE request_id = 'req_3'", ("req_3",), (), "holds 29 records, 30 were"),
        ("DELETE FROM usage WHERE seq = (SELECT max(seq) FROM usage)", ("req_29",), (), "holds 29 records"),
        (
            "UPDATE usage SET completion_tokens = 1 WHERE request_id = 'req_3'",
            (),
            ("req_3",),
            "holds 146 completion tokens, 150 were",
        ),
        ("UPDATE usage SET user = 'x' WHERE request_id = 'req_3'", (), ("req_3",), "records in it are not"),
        (
            "UPDATE usage SET prompt_tokens = prompt_tokens + CASE request_id WHEN 'req_1' THEN 5 ELSE -5 END"
            " WHERE request_id IN ('req_1', 'req_2')",
            (),
            ("req_1", "req_2"),
            "records in it are not",
        ),
    ],
)
async def test_what_was_done_to_the_table_is_found_with_the_journal_and_without(
    ledger: Ledger,
    database: Database,
    tmp_path: Path,
    statement: str,
    missing: tuple[str, ...],
    altered: tuple[str, ...],
    problem: str,
):
    tamper(database, statement)
    found = await ledger.verify()
    assert (found.ok, found.missing, found.altered) == (False, missing, altered)
    assert problem in found.problems[0]
    later = await without_journal(ledger, database, tmp_path)
    found = await later.verify()
    assert (found.ok, found.journal_records) == (False, 0)
    assert problem in found.problems[0]
    await later.stop()


async def test_a_row_that_nobody_metered_is_found(ledger: Ledger, database: Database):
    columns = ", ".join(field for field in a_record().__struct_fields__ if field != "request_id")
    tamper(
        database, f"INSERT INTO usage (request_id, {columns}) SELECT 'x', {columns} FROM usage WHERE seq = 1"
    )
    found = await ledger.verify()
    assert found.problems[0] == "the table holds 31 records, 30 were committed"


async def test_a_row_twice_is_found_even_where_the_index_was_dropped(ledger: Ledger, database: Database):
    tamper(database, "DROP INDEX usage_request_id")
    columns = ", ".join(a_record().__struct_fields__)
    tamper(database, f"INSERT INTO usage ({columns}) SELECT {columns} FROM usage WHERE seq = 1")
    found = await ledger.verify()
    assert found.duplicates == 1
    assert "1 rows repeat a request id" in found.problems


async def test_a_damaged_line_of_the_journal_is_reported(ledger: Ledger, tmp_path: Path):
    [segment] = (tmp_path / "journal").glob("*.journal")
    content = bytearray(segment.read_bytes())
    content[100] ^= 1
    segment.write_bytes(content)
    found = await ledger.verify()
    assert found.problems == ("1 lines of the journal are damaged",)


def test_the_chain_of_a_known_record_never_changes():
    """The chain is kept in databases: whatever changes it makes every verification fail."""
    assert (
        add(Totals(), a_record()).chain.hex()
        == "5b11535829b2ca0c435de29292b31f3e120bf75574c6d29ebd838fa36b55051d"
    )
