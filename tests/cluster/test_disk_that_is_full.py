"""A full disk under the data directory: models go on being served, engines go on being started."""

from pathlib import Path

import pytest

from tests.cluster.asking import slow_model
from tests.cluster.program import eventually, running
from tests.cluster.small_disk import fill, small_disk

pytestmark = pytest.mark.needs_root
DISK_MIB = 28


def test_engines_serve_and_come_back_on_a_full_disk_and_the_reason_is_told(tmp_path: Path):
    with small_disk(tmp_path / "data", DISK_MIB) as disk, running(tmp_path) as program:
        program.add_model(slow_model(), "slow")
        filler = fill(disk)
        assert program.chat("slow", max_tokens=3).status_code == 200
        engines = program.engines()
        for engine in engines:
            engine.kill()
        assert program.chat("slow", max_tokens=3).status_code == 200
        assert {e.pid for e in program.engines()}.isdisjoint(e.pid for e in engines)
        refused = program.cli("model", "unload", "slow")
        assert "Traceback" not in refused.stderr
        filler.unlink()
        assert program.cli("model", "load", "slow").returncode == 0
        eventually(lambda: program.model_state("slow") == "serving", "slow serves")
        assert program.chat("slow", max_tokens=3).status_code == 200
