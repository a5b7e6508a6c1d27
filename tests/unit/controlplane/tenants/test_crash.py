"""The promise of the ledger, against a real process that is really killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from controlplane.store.db import open_database
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.usage import Usage
from tests.unit.controlplane.helpers import HandClock

ROUNDS = 3
TOLD_BEFORE_THE_KILL = 4000


def run_and_kill(directory: Path, checkout: Path) -> list[list[str]]:
    """What the child told before it was killed in the middle of its work."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.controlplane.tenants.metering_child", str(directory)],
        cwd=checkout,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    told: list[list[str]] = []
    with child.stdout as pipe:
        for line in pipe:
            told.append(line.decode().split())
            if len(told) == TOLD_BEFORE_THE_KILL:
                os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "it ended by itself"
    return told


async def test_kill_9_loses_no_record_and_invents_none(tmp_path: Path, checkout: Path):
    opened: set[str] = set()
    closed: dict[str, tuple[int, int]] = {}
    for _ in range(ROUNDS):
        for what, request_id, *tokens in run_and_kill(tmp_path, checkout):
            if what == "o":
                opened.add(request_id)
            else:
                closed[request_id] = (int(tokens[0]), int(tokens[1]))
    database = await open_database(tmp_path / "state.db", tmp_path / "backups", HandClock())
    ledger = Ledger(database, tmp_path / "journal")
    recovery = await ledger.recover()
    records = [record async for record in Usage(database, HandClock()).export()]
    by_id = {record.request_id: record for record in records}
    verification = await ledger.verify()
    await ledger.stop()
    await database.close()

    assert len(closed) > 1000 * ROUNDS
    assert len(by_id) == len(records), "a request has two records"
    assert opened <= set(by_id), "an admitted request has no record"
    for request_id, tokens in closed.items():
        record = by_id[request_id]
        assert (record.outcome, record.prompt_tokens, record.completion_tokens) == ("ok", *tokens)
    cut_off = [record for record in records if record.outcome == "failed"]
    assert 0 < len(cut_off) < 30 * ROUNDS
    assert recovery.unfinished <= len(cut_off)
    assert {(r.tokens_source, r.status, r.completion_tokens) for r in cut_off} == {("estimated", 500, 0)}
    told = opened | set(closed)
    assert len(set(by_id) - told) <= 30 * ROUNDS, "only what the signal overtook may be untold"
    assert verification.problems == ()
