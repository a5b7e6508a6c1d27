"""The model that ships."""

from pathlib import Path

from flockpy.gguf import read_metadata
from flockpy.paths import demo_model
from scripts.make_selftest_model import SELFTEST
from scripts.tiny_models import write


def test_it_is_what_its_script_makes(tmp_path: Path):
    write(SELFTEST, tmp_path / "again.gguf")
    assert (tmp_path / "again.gguf").read_bytes() == demo_model().read_bytes()


def test_it_is_small_and_readable():
    meta = read_metadata(demo_model())
    assert meta.size_bytes < 2**20
    assert meta.name == "flock-demo"
