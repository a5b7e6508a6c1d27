"""The ledger: every closed record reaches the table, whatever is in the way for a while."""

import asyncio
import errno
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.store import schema
from controlplane.store import usage as store
from controlplane.store.db import Database, DatabaseTrouble, open_database
from controlplane.store.usage import load_drained
from controlplane.tenants import journal as journal_module
from controlplane.tenants import ledger as ledger_module
from controlplane.tenants.accounts import Drained
from controlplane.tenants.ledger import Ledger, Recovery
from controlplane.tenants.lines import Opened
from controlplane.tenants.usage import Usage
from flockpy.errors import Overloaded, StartError
from tests.unit.controlplane.helpers import NOON, HandClock, a_record, impatient

SEGMENT = 16 * 2**10


def opened(request_id: str) -> Opened:
    return Opened(request_id, NOON, "k_1", "hadi", "m", "chat", True, prompt_tokens=7, reserved=100)


def make(database: Database, path: Path) -> Ledger:
    return Ledger(database, path / "journal", SEGMENT)


@pytest.fixture
async def ledger(database: Database, tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = make(database, tmp_path)
    await ledger.recover()
    yield ledger
    await ledger.stop()


async def crashed(ledger: Ledger) -> None:
    """Let the loop turn over, then forget the ledger: what it wrote is all that remains."""
    await asyncio.sleep(0)
    ledger._journal.close()  # pyright: ignore[reportPrivateUsage]  # the file, not the promise


async def ids(database: Database) -> list[str]:
    return [record.request_id async for record in Usage(database, HandClock()).export()]


@asynccontextmanager
async def running(ledger: Ledger) -> AsyncIterator[None]:
    task = asyncio.create_task(ledger.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool], within: float = 15) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_closed_record_is_in_the_table_a_second_later(ledger: Ledger, database: Database):
    async with running(ledger), asyncio.timeout(30):
        ledger.open(opened("req_1"))
        ledger.close(a_record("req_1"))
        while not await ids(database):
            await asyncio.sleep(0.05)
    assert ledger.degraded is None


async def test_many_records_do_not_wait_for_the_interval(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger_module, "INTERVAL_S", 60)
    monkeypatch.setattr(ledger_module, "BATCH", 100)
    async with running(ledger), asyncio.timeout(30):
        await asyncio.sleep(0)
        for number in range(100):
            ledger.close(a_record(f"req_{number}"))
        while len(await ids(database)) < 100:
            await asyncio.sleep(0.02)


async def test_what_was_closed_before_a_crash_is_recovered_once(database: Database, tmp_path: Path):
    first = make(database, tmp_path)
    for number in range(200):
        first.open(opened(f"req_{number}"))
        first.close(a_record(f"req_{number}"))
        if number == 120:
            await first.drain()
    await crashed(first)
    second = make(database, tmp_path)
    assert await second.recover() == Recovery(79, 0)
    assert await ids(database) == [f"req_{number}" for number in range(200)]
    assert (await second.verify()).ok
    await second.stop()
    third = make(database, tmp_path)
    assert await third.recover() == Recovery(0, 0)
    await third.stop()


async def test_a_request_that_a_crash_cut_off_becomes_a_failure(database: Database, tmp_path: Path):
    first = make(database, tmp_path)
    first.open(opened("req_1"))
    await crashed(first)
    second = make(database, tmp_path)
    assert await second.recover() == Recovery(1, 1)
    [record] = [record async for record in Usage(database, HandClock()).export()]
    assert record == a_record(
        "req_1",
        node_id="",
        prompt_tokens=7,
        completion_tokens=0,
        cached_tokens=0,
        tokens_source="estimated",
        queue_ms=0,
        ttft_ms=None,
        duration_ms=0,
        outcome="failed",
        status=500,
    )
    await second.stop()


async def test_a_request_in_flight_over_many_segments_is_not_forgotten(database: Database, tmp_path: Path):
    first = make(database, tmp_path)
    await first.recover()
    first.open(opened("long"))
    for number in range(300):
        first.open(opened(f"req_{number}"))
        first.close(a_record(f"req_{number}"))
        if number % 50 == 0:
            await first.drain()
    await first.drain()
    assert len(list((tmp_path / "journal").glob("*.journal"))) <= 2, "drained segments are given up"
    await crashed(first)
    second = make(database, tmp_path)
    assert (await second.recover()).unfinished == 1
    assert len(await ids(database)) == 301
    await second.stop()


async def test_a_second_crash_in_the_middle_of_a_recovery_changes_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(journal_module, "READ_BYTES", 4096)
    monkeypatch.setattr(ledger_module, "BATCH", 10)
    first = make(database, tmp_path)
    first.open(opened("cut off"))
    for number in range(100):
        first.close(a_record(f"req_{number}"))
    await crashed(first)
    dying = make(database, tmp_path)
    real = store.append_usage
    calls: list[int] = []

    async def once_only(*arguments: Any) -> Drained:
        calls.append(1)
        if len(calls) > 1:
            raise ZeroDivisionError
        return await real(*arguments)

    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(store, "append_usage", once_only)
        await dying.recover()
    assert 0 < len(await ids(database)) < 100
    second = make(database, tmp_path)
    await second.recover()
    assert sorted(await ids(database)) == sorted(["cut off", *(f"req_{number}" for number in range(100))])
    assert (await second.verify()).ok
    await second.stop()


async def test_a_journal_of_another_version_is_a_start_error(database: Database, tmp_path: Path):
    first = make(database, tmp_path)
    first.close(a_record("req_1", surface="hologram"))
    await crashed(first)
    with pytest.raises(StartError, match="another version"):
        await make(database, tmp_path).recover()


async def test_a_stop_after_a_failed_recovery_leaves_the_journal_to_the_next_start(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    first = make(database, tmp_path)
    first.open(opened("cut off"))
    first.close(a_record("req_1"))
    await crashed(first)

    async def full(*_: object) -> Drained:
        raise DatabaseTrouble("the disk is full")

    second = make(database, tmp_path)
    with monkeypatch.context() as patch, pytest.raises(StartError, match="the disk is full"):
        patch.setattr(store, "load_drained", full)
        await second.recover()
    await second.stop()
    third = make(database, tmp_path)
    assert await third.recover() == Recovery(2, 1)
    await third.stop()


async def test_a_file_in_the_place_of_the_journal_is_a_start_error(database: Database, tmp_path: Path):
    (tmp_path / "journal").touch()
    with pytest.raises(StartError, match="cannot be used"):
        make(database, tmp_path)


def no_space(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


async def test_while_the_journal_cannot_be_written_records_go_straight_to_the_table(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
):
    ledger.open(opened("req_0"))
    ledger.open(opened("still running"))
    await asyncio.sleep(0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", no_space)
        ledger.close(a_record("req_0", queue_ms=0))
        for number in range(1, 50):
            ledger.open(opened(f"req_{number}"))
            ledger.close(a_record(f"req_{number}"))
            ledger.flush()
        assert ledger.degraded == "the usage journal cannot be written: [Errno 28] No space left on device"
        await ledger.drain()
        assert len(await ids(database)) == 50
        ledger.open(opened("req_50"))
    ledger.close(a_record("req_50"))
    await ledger.drain()
    assert ledger.degraded is None
    ledger.close(a_record("still running"))
    await ledger.drain()
    assert len(await ids(database)) == 52
    assert (await ledger.verify()).ok


async def test_while_neither_journal_nor_table_can_be_written_records_wait_and_admissions_stop(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(ledger_module, "WAITING_LIMIT", 20)
    await database.write(impatient)
    with (
        monkeypatch.context() as patch,
        closing(sqlite3.connect(database.path, isolation_level=None)) as other,
    ):
        other.execute("BEGIN IMMEDIATE")
        patch.setattr(os, "pwrite", no_space)
        for number in range(10):
            ledger.open(opened(f"req_{number}"))
        await asyncio.sleep(0)
        for number in range(10):
            ledger.close(a_record(f"req_{number}"))
        ledger.flush()
        with pytest.raises(Overloaded, match="No space left"):
            ledger.open(opened("one more"))
        with pytest.raises(DatabaseTrouble):
            await ledger.drain()
        other.execute("COMMIT")
    await ledger.drain()
    assert len(await ids(database)) == 10
    assert ledger.degraded is None
    ledger.open(opened("one more"))
    ledger.close(a_record("one more"))


async def test_a_database_locked_for_seconds_loses_nothing_and_says_so(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "LOCK_WAIT_S", 0.3)
    database = await open_database(tmp_path / "state.db", tmp_path / "backups", clock)
    ledger = make(database, tmp_path)
    await ledger.recover()
    loop = asyncio.get_running_loop()
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        async with running(ledger):
            other.execute("BEGIN EXCLUSIVE")
            began = loop.time()
            sent = 0
            while loop.time() < began + 3 or sent <= 300 or ledger.degraded is None:
                ledger.open(opened(f"req_{sent}"))
                ledger.close(a_record(f"req_{sent}"))
                sent += 1
                await asyncio.sleep(0.002)
            assert "locked by another program" in ledger.degraded
            other.execute("COMMIT")
            await until(lambda: ledger.degraded is None)
    assert await ids(database) == [f"req_{number}" for number in range(sent)]
    assert (await ledger.verify()).ok
    await ledger.stop()
    await database.close()


async def test_a_leader_that_starts_while_its_database_is_locked_catches_up_later(
    tmp_path: Path, clock: HandClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "LOCK_WAIT_S", 0.1)
    database = await open_database(tmp_path / "state.db", tmp_path / "backups", clock)
    first = make(database, tmp_path)
    first.open(opened("cut off"))
    first.close(a_record("closed"))
    await crashed(first)
    ledger = make(database, tmp_path)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert await ledger.recover() == Recovery(0, 1)
        assert "locked by another program" in str(ledger.degraded)
        other.execute("COMMIT")
    async with running(ledger):
        await until(lambda: ledger.degraded is None)
    assert sorted(await ids(database)) == ["closed", "cut off"]
    assert (await ledger.verify()).ok
    await ledger.stop()
    await database.close()


@contextmanager
def small_disk(path: Path, kib: int) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.needs_root
@pytest.mark.needs_program("mount")
async def test_a_full_disk_loses_nothing_and_says_so(tmp_path: Path, clock: HandClock):
    with small_disk(tmp_path / "disk", 1024) as disk:
        database = await open_database(disk / "state.db", disk / "backups", clock)
        ledger = make(database, disk)
        await ledger.recover()
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while True:
                file.write(bytes(4096))
        async with running(ledger):
            for number in range(400):
                ledger.open(opened(f"req_{number}"))
                ledger.close(a_record(f"req_{number}"))
                await asyncio.sleep(0.002)
            ledger.open(opened("in flight"))
            await until(lambda: ledger.degraded is not None)
            assert "No space left" in str(ledger.degraded) or "full" in str(ledger.degraded)
            filler.unlink()
            await until(lambda: ledger.degraded is None)
        ledger.close(a_record("in flight"))
        await ledger.drain()
        assert set(await ids(database)) == {"in flight", *(f"req_{number}" for number in range(400))}
        assert (await ledger.verify()).ok
        await ledger.stop()
        await database.close()


async def test_stopping_leaves_for_the_next_start_what_the_table_cannot_take(
    database: Database, tmp_path: Path
):
    first = make(database, tmp_path)
    await first.recover()
    await database.write(impatient)
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        first.close(a_record("req_1"))
        await first.stop()
    assert (await load_drained(database)).totals.records == 0
    second = make(database, tmp_path)
    assert await second.recover() == Recovery(1, 0)
    await second.stop()


async def test_a_drain_cancelled_while_it_waits_for_a_lock_loses_nothing(
    ledger: Ledger, database: Database, tmp_path: Path
):
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with running(ledger):
            for number in range(10):
                ledger.close(a_record(f"req_{number}"))
            await asyncio.sleep(1.2)  # into the busy wait of the drain
        other.execute("COMMIT")
    await ledger.drain()
    assert await ids(database) == [f"req_{number}" for number in range(10)]
    assert (await ledger.verify()).ok
