"""A full disk: requests are served, the program says so, and nothing is lost once there is room again."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.metering import degraded, exported, gauge, hold_against, make_keys, metered, verified
from tests.cluster.program import eventually
from tests.cluster.traffic import mixed, send

pytestmark = pytest.mark.needs_root
DISK_MIB = 28
"""Room for the journal (two segments of 8 MiB), the database and some logs."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A data directory on a disk of its own, which is gone afterwards."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    options = f"size={DISK_MIB}m,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(data)], check=True)
    try:
        yield data
    finally:
        subprocess.run(["umount", "--lazy", str(data)], check=True)


def fill(disk: Path) -> Path:
    """Take what room there is, and answer the file that takes it."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (2**16, 2**12):
            with pytest.raises(OSError, match="No space left"):
                while True:
                    file.write(bytes(size))
    return filler


async def test_a_full_disk_stops_no_request_and_loses_no_record(tmp_path: Path, small_disk: Path) -> None:
    with metered(tmp_path) as program:
        keys, spent = make_keys(program)
        answers = await send(program, mixed(100, keys, spent))
        verified(program)
        assert (degraded(program), gauge(program)) == (None, 0)

        filler = fill(small_disk)
        answers += await send(program, mixed(300, keys, spent, seed=2))
        reason = eventually(lambda: degraded(program), "the leader says that it is degraded")
        fill(small_disk)
        assert gauge(program) == 1
        assert reason in program.cli("status").stdout

        for seed in (3, 4):
            program.process("leader").kill()
            eventually(program.ready, "the parent has started the leader again")
            fill(small_disk)
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
