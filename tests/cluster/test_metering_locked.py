"""Another program locks the database for ten seconds: requests are served, revocation holds, nothing is lost."""

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.cluster.metering import (
    degraded,
    engine_tokens,
    exported,
    gauge,
    hold_against,
    make_keys,
    metered,
    recorded_tokens,
    verified,
)
from tests.cluster.program import Program, eventually
from tests.cluster.traffic import Answer, mixed, send

LOCKED_S = 10.0


def status_with(program: Program, key: str) -> int:
    with program.client(key) as client:
        return client.get("/v1/models").status_code


def revoke(program: Program, name: str) -> int:
    key_id = next(item["id"] for item in program.get("/admin/v1/tokens")["items"] if item["name"] == name)
    with program.client() as client:
        return client.delete(f"/admin/v1/tokens/{key_id}").status_code


async def test_a_locked_database_stops_no_request_and_loses_no_record(tmp_path: Path) -> None:
    with metered(tmp_path) as program:
        keys, spent = make_keys(program)
        stolen = program.create_key("stolen")
        assert status_with(program, stolen) == 200
        answers: list[Answer] = []
        with closing(sqlite3.connect(program.data_dir / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            until = time.monotonic() + LOCKED_S
            revoking = asyncio.create_task(asyncio.to_thread(revoke, program, "stolen"))
            answers += await send(program, mixed(300, keys, spent))
            assert status_with(program, stolen) == 401, "it holds before it is durable"
            assert eventually(lambda: degraded(program), "the leader says that it is degraded", LOCKED_S)
            assert gauge(program) == 1
            assert "locked by another program" in program.cli("status").stdout
            assert await revoking == 503, "who revokes is told that it is not durable yet"
            while time.monotonic() < until:
                answers += await send(program, mixed(50, keys, spent, seed=len(answers)))
            other.execute("COMMIT")
        eventually(lambda: degraded(program) is None, "all is well once the lock is gone")
        assert gauge(program) == 0
        verified(program)
        records = exported(program)
        seen = hold_against(answers, records)
        assert seen["whole"] > 0.7 * len(answers)
        assert not seen["cut off"]
        assert not seen["cut off, by their records"]
        assert recorded_tokens(records, "tiny") == engine_tokens(program, "tiny")

        assert revoke(program, "stolen") == 200
        program.process("leader").kill()
        eventually(program.ready, "the parent has started the leader again")
        assert status_with(program, stolen) == 401
        assert status_with(program, keys[0]) == 200


async def test_a_leader_killed_while_its_database_is_locked_comes_back_with_every_record(
    tmp_path: Path,
) -> None:
    with metered(tmp_path) as program:
        keys, spent = make_keys(program)
        with closing(sqlite3.connect(program.data_dir / "state.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            until = time.monotonic() + LOCKED_S
            answers = await send(program, mixed(300, keys, spent))
            program.process("leader").kill()
            await asyncio.sleep(until - time.monotonic())
            other.execute("COMMIT")
        eventually(program.ready, "the parent has started the leader again")
        answers += await send(program, mixed(100, keys, spent, seed=2))
        verified(program)
        seen = hold_against(answers, exported(program))
        assert seen["whole"] > 0.7 * len(answers)
