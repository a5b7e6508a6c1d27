"""A full disk: requests are served, the program says so, and nothing is lost once there is room again."""

from pathlib import Path

import pytest

from tests.cluster.metering import degraded, exported, gauge, hold_against, make_keys, metered, verified
from tests.cluster.program import eventually
from tests.cluster.small_disk import fill, small_disk
from tests.cluster.traffic import mixed, send

pytestmark = pytest.mark.needs_root
DISK_MIB = 28
"""Room for the journal (two segments of 8 MiB), the database and some logs."""


async def test_a_full_disk_stops_no_request_and_loses_no_record(tmp_path: Path) -> None:
    with small_disk(tmp_path / "data", DISK_MIB) as disk, metered(tmp_path) as program:
        keys, spent = make_keys(program)
        answers = await send(program, mixed(100, keys, spent))
        verified(program)
        assert (degraded(program), gauge(program)) == (None, 0)

        filler = fill(disk)
        answers += await send(program, mixed(300, keys, spent, seed=2))
        reason = eventually(lambda: degraded(program), "the leader says that it is degraded")
        fill(disk)
        assert gauge(program) == 1
        assert reason in program.cli("status").stdout

        for seed in (3, 4):
            program.process("leader").kill()
            eventually(program.ready, "the parent has started the leader again")
            fill(disk)
            answers += await send(program, mixed(200, keys, spent, seed))
            assert eventually(lambda: degraded(program), "the new leader says so, too")

        filler.unlink()
        eventually(lambda: degraded(program) is None, "all is well once there is room")
        found = verified(program)
        records = exported(program)
        seen = hold_against(answers, records)
        assert found["records"] == len(records)
        assert seen["whole"] > 500
        assert not seen["cut off"]
        assert gauge(program) == 0
