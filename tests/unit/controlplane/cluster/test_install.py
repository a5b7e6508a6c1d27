import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest

from controlplane.cluster import install
from controlplane.cluster.events import ModelInstalled, NodeRegistered, PlacementWanted
from controlplane.cluster.store import Cluster
from flockpy import gguf
from flockpy.errors import BadRequest, NotFound
from flockpy.paths import demo_model
from tests.tiny_models import tiny_folder
from tests.unit.controlplane.builders import (
    LoopClock,
    MemoryMeta,
    MemoryRepo,
    counting_entropy,
    desired,
    info,
    model,
)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A model in three files, of which only the sizes and names are true."""
    paths = [tmp_path / f"big-{number:05}-of-00003.gguf" for number in (1, 2, 3)]
    for path in paths:
        shutil.copy(demo_model(), path)
    whole = gguf.read_metadata(demo_model())
    monkeypatch.setattr(gguf, "read_metadata", lambda path: _in_parts(whole))
    return paths


def _in_parts(whole):
    from dataclasses import replace

    return replace(whole, parts=3)


def test_a_model_in_parts_is_added_by_its_first_and_counts_them_all(parts: list[Path]):
    file = install.examine(parts[0])
    assert file.size_bytes == 3 * demo_model().stat().st_size
    assert install.id_from(file.path) == "big"
    with pytest.raises(BadRequest, match="00001-of-00003"):
        install.examine(parts[1])
    parts[2].unlink()
    with pytest.raises(NotFound, match="Part 3 of 3"):
        install.examine(parts[0])


def test_a_scan_skips_what_is_hidden_and_later_parts(parts: list[Path], tmp_path: Path):
    (tmp_path / ".cache").mkdir()
    shutil.copy(demo_model(), tmp_path / ".cache" / "x.gguf")
    assert [Path(file.path).name for file in install.scan(tmp_path)] == ["big-00001-of-00003.gguf"]


def test_a_hugging_face_folder_is_a_model_by_the_folders_name(tmp_path: Path):
    folder = shutil.copytree(tiny_folder(mode="text"), tmp_path / "Tiny-4bit")
    file = install.examine(folder)
    model = install.installed(file, install.id_from(file.path), "n_1", 0.0)
    assert (model.id, model.details["format"]) == ("tiny-4bit", "safetensors")
    assert (model.size_bytes, model.context_window) == ((folder / "model.safetensors").stat().st_size, 4096)
    assert model.capabilities == ("chat", "completion", "tools")
    assert [found.path for found in install.scan(tmp_path)] == [str(folder)]
    (folder / "config.json").write_text("[]")
    assert list(install.scan(tmp_path)) == []
    (folder / "config.json").unlink()
    with pytest.raises(BadRequest, match="it holds no model"):
        install.examine(folder)


async def test_the_demo_model_follows_the_program_to_its_new_place():
    cluster = await Cluster.open(MemoryRepo(), LoopClock(), counting_entropy())
    cluster.apply(NodeRegistered("n_1", "leader", 1.0, info()))
    old = model(install.DEMO, path="/old/place/flock-demo.gguf", replicas=1)
    cluster.apply(ModelInstalled(old))
    cluster.apply(PlacementWanted(desired("p_1", install.DEMO)))
    await install.ensure_demo_model(cluster, MemoryMeta())
    moved = msgspec.structs.replace(old, path=str(demo_model()))
    assert cluster.state.models[install.DEMO] == moved
    assert dict(cluster.state.desired) == {}


async def test_a_leader_that_stops_before_its_node_came_does_not_wait_for_it():
    cluster = await Cluster.open(MemoryRepo(), LoopClock(), counting_entropy())
    waiting = asyncio.create_task(install.ensure_demo_model(cluster, MemoryMeta()))
    await asyncio.sleep(0)
    cluster.close()
    await asyncio.wait_for(waiting, 30)
    assert dict(cluster.state.models) == {}
