"""A turn of the event loop: its records are in the journal before its answers are with their clients."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from controlplane.store.db import Database
from controlplane.tenants.journal import Journal
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.lines import Opened
from flockpy.http import Outbox
from tests.unit.controlplane.helpers import NOON, a_record


async def test_a_record_is_in_the_journal_before_any_answer_of_its_turn_is_written(
    database: Database, tmp_path: Path
):
    def journal() -> bytes:
        return b"".join(path.read_bytes() for path in (tmp_path / "journal").glob("*.journal"))

    class Client:
        there = False

        def flush(self) -> None:
            self.there = b"req_1" in journal()

    ledger = Ledger(database, tmp_path / "journal")
    await ledger.recover()
    client = Client()
    answers = Outbox(before=ledger.flush)
    answers.add(client)  # a part of the answer came earlier in this turn
    ledger.open(Opened("req_1", NOON, "k_1", "hadi", "m", "chat", True, prompt_tokens=7, reserved=100))
    ledger.close(a_record("req_1"))
    assert b"req_1" not in journal()
    await asyncio.sleep(0)
    assert client.there
    await ledger.stop()


async def test_a_defect_in_the_journal_keeps_the_records_and_the_answers_until_it_is_tried_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    ledger = Ledger(database, tmp_path / "journal")
    await ledger.recover()
    append, lines = Journal.append, list[bytes]()

    def broken_once(journal: Journal, text: bytes) -> None:
        lines.append(text)
        if len(lines) == 1:
            raise MemoryError
        append(journal, text)

    class Client:
        lines_before = 0

        def flush(self) -> None:
            self.lines_before = len(lines)

    monkeypatch.setattr(Journal, "append", broken_once)
    client = Client()
    answers = Outbox(before=ledger.flush)
    answers.add(client)
    ledger.close(a_record("req_1"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(told) == 1
    assert client.lines_before == 2
    assert lines[0] == lines[1]
    await ledger.stop()
