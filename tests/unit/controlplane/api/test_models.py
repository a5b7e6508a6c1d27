import shutil
from pathlib import Path

import pytest

from controlplane.cluster import install
from controlplane.cluster.events import NodeReported
from flockpy.paths import demo_model
from flockpy.placement import Failed, Starting
from tests.unit.controlplane.api.conftest import World
from tests.unit.controlplane.builders import placed, report


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "files" / "Tiny Model-Q8_0.gguf"
    path.parent.mkdir()
    return Path(shutil.copy(demo_model(), path))


def reports(world: World, node_id: str, seq: int, *placements) -> None:
    """The leader's node reports, as its agent would."""
    message = report(seq, placements)
    world.services.cluster.apply(NodeReported(node_id, message, world.services.clock.monotonic()))


def placement_of(world: World) -> str:
    (placement_id,) = world.services.cluster.state.desired
    return placement_id


async def test_a_file_becomes_a_model_that_its_first_request_would_load(world: World, gguf: Path):
    await world.join_as_leader()
    answer = await world.post("/models", {"ref": f"file:{gguf}"})
    assert answer.status_code == 202, answer.text
    operation = answer.json()["operation"]
    assert (operation["kind"], operation["target"], operation["state"]) == ("add", "tiny-model-q8_0", "done")
    model = (await world.get("/models/tiny-model-q8_0")).json()
    assert (model["state"], model["source"]) == ("installed", f"file:{gguf}")
    assert model["size_bytes"] == gguf.stat().st_size
    assert model["details"]["architecture"] == "llama"
    assert model["context_window"] > 0
    (_, entry) = await world.trail()
    assert (entry.action, entry.target) == ("model.add", "tiny-model-q8_0")


async def test_adding_with_load_is_done_when_a_placement_is_ready(world: World, gguf: Path):
    node_id = await world.join_as_leader()
    answer = await world.post("/models", {"ref": f"file:{gguf}", "id": "tiny", "load": True})
    operation = f"/operations/{answer.json()['operation']['id']}"
    assert answer.json()["operation"]["state"] == "running"
    world.schedule()
    reports(world, node_id, 1, placed(placement_of(world), "tiny", Starting()))
    assert (await world.get(operation)).json()["state"] == "running"
    assert (await world.get("/models/tiny")).json()["state"] == "loading"
    reports(world, node_id, 2, placed(placement_of(world), "tiny"))
    ended = (await world.get(operation)).json()
    assert (ended["state"], ended["error"]) == ("done", None)
    model = (await world.get("/models/tiny")).json()
    assert (model["state"], model["placements"][0]["state"]) == ("serving", "ready")


async def test_a_load_that_fails_says_why_and_loading_again_tries_anew(world: World, gguf: Path):
    node_id = await world.join_as_leader()
    answer = await world.post("/models", {"ref": f"file:{gguf}", "id": "tiny", "load": True})
    world.schedule()
    first = placement_of(world)
    reports(world, node_id, 1, placed(first, "tiny", Failed("out of memory", 5)))
    ended = (await world.get(f"/operations/{answer.json()['operation']['id']}")).json()
    assert (ended["state"], ended["error"]) == ("failed", "out of memory")
    failed = (await world.get("/models/tiny")).json()
    assert (failed["state"], failed["reason"]) == ("failed", "out of memory")
    again = await world.post("/models/tiny/load")
    assert again.json()["operation"]["state"] == "running"
    world.schedule()
    assert placement_of(world) != first


async def test_unloading_waits_for_running_requests_and_for_the_engine_to_be_gone(world: World, gguf: Path):
    node_id = await world.join_as_leader()
    await world.post("/models", {"ref": f"file:{gguf}", "id": "tiny", "load": True})
    world.schedule()
    placement_id = placement_of(world)
    reports(world, node_id, 1, placed(placement_id, "tiny"))
    world.idle["tiny"] = None
    operation = (await world.post("/models/tiny/unload")).json()["operation"]
    world.schedule()
    assert placement_of(world) == placement_id
    world.idle["tiny"] = 0.0
    world.schedule()
    assert (await world.get(f"/operations/{operation['id']}")).json()["state"] == "running"
    reports(world, node_id, 2)
    assert (await world.get(f"/operations/{operation['id']}")).json()["state"] == "done"


async def test_a_dry_run_tells_and_changes_nothing(world: World, gguf: Path):
    node_id = await world.join_as_leader()
    before = await world.trail()
    answer = await world.post("/models", {"ref": f"file:{gguf}", "dry_run": True})
    assert answer.status_code == 200
    plan = answer.json()
    assert (plan["id"], plan["node_id"], plan["refusal"]) == ("tiny-model-q8_0", node_id, None)
    assert (plan["engine"], plan["engine_trouble"]) == ("embedded", None)
    assert 0 < plan["needed_bytes"] < plan["memory_bytes"]
    assert (await world.get("/models")).json()["items"] == []
    assert await world.trail() == before


async def test_what_does_not_fit_is_refused_with_the_numbers_unless_forced(world: World, gguf: Path):
    await world.join_as_leader()
    with gguf.open("r+b") as file:
        file.truncate(40 * 2**30)
    refused = await world.post("/models", {"ref": f"file:{gguf}", "id": "big"})
    assert refused.status_code == 409
    assert "GiB" in refused.json()["error"]["message"]
    assert "--force" in refused.json()["error"]["hint"]
    forced = await world.post("/models", {"ref": f"file:{gguf}", "id": "big", "force": True})
    assert forced.status_code == 202


@pytest.mark.parametrize(
    ("ref", "status", "field"),
    [
        ("file:/no/such/file.gguf", 404, "ref"),
        ("file:/", 400, "ref"),
        ("file:/dev/null", 400, "ref"),
        ("file:relative.gguf", 404, "ref"),
        ("file:/a\0b", 404, "ref"),
        ("file:/" + "x" * 4000, 404, "ref"),
        ("hf:owner/repo", 400, "ref"),
        ("no-such-model", 404, "ref"),
        ("", 400, "ref"),
    ],
)
async def test_a_reference_that_is_no_model_file_is_refused_by_field(
    world: World, ref: str, status: int, field: str
):
    await world.join_as_leader()
    answer = await world.post("/models", {"ref": ref})
    assert (answer.status_code, answer.json()["error"]["field"]) == (status, field)


async def test_a_file_that_is_not_gguf_is_refused(world: World, tmp_path: Path):
    await world.join_as_leader()
    path = tmp_path / "notes.gguf"
    path.write_text("these are no weights at all, but long enough")
    answer = await world.post("/models", {"ref": f"file:{path}"})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "ref")
    assert "GGUF" in answer.json()["error"]["message"]


async def test_an_id_or_a_file_that_is_taken_is_refused(world: World, gguf: Path):
    await world.join_as_leader()
    await world.post("/models", {"ref": f"file:{gguf}", "id": "tiny"})
    other = Path(shutil.copy(gguf, gguf.with_name("other.gguf")))
    link = gguf.with_name("link.gguf")
    link.symlink_to(gguf)
    for body, field in (
        ({"ref": f"file:{other}", "id": "tiny"}, "id"),
        ({"ref": f"file:{gguf}", "id": "twin"}, "ref"),
        ({"ref": f"file:{link}", "id": "twin"}, "ref"),
        ({"ref": f"file:{other}", "id": "auto"}, "id"),
    ):
        answer = await world.post("/models", body)
        assert (answer.status_code, answer.json()["error"]["field"]) == (409, field)
    bad = await world.post("/models", {"ref": f"file:{other}", "id": "../up"})
    assert (bad.status_code, bad.json()["error"]["field"]) == (400, "id")


async def test_before_the_leaders_node_has_joined_a_model_cannot_be_added_yet(world: World, gguf: Path):
    answer = await world.post("/models", {"ref": f"file:{gguf}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_removed_model_is_gone_and_its_file_is_not(world: World, gguf: Path):
    await world.join_as_leader()
    await world.post("/models", {"ref": f"file:{gguf}", "id": "tiny"})
    assert (await world.delete("/models/tiny")).json()["id"] == "tiny"
    assert (await world.get("/models/tiny")).status_code == 404
    assert (await world.delete("/models/tiny")).status_code == 404
    assert gguf.exists()


async def test_a_model_of_an_adopted_engine_is_shown_but_cannot_be_unloaded(world: World):
    node_id = await world.join_as_leader()
    reports(world, node_id, 1, placed("p_x", "theirs", adopted=True))
    assert (await world.get("/models/theirs")).json()["state"] == "serving"
    assert (await world.post("/models/theirs/unload")).status_code == 409
    assert (await world.delete("/models/theirs")).status_code == 409


async def test_a_scan_finds_model_files_and_says_which_are_installed(world: World, gguf: Path):
    await world.join_as_leader()
    shutil.copy(gguf, gguf.with_name("second.gguf"))
    gguf.with_name("broken.gguf").write_text("no")
    await world.post("/models", {"ref": f"file:{gguf}"})
    found = (await world.post("/models/scan", {"dir": str(gguf.parent)})).json()["items"]
    assert [(f["id"], f["installed"]) for f in found] == [("tiny-model-q8_0", True), ("second", False)]
    assert (await world.post("/models/scan", {"dir": "/no/such"})).status_code == 404
    assert (await world.post("/models/scan", {"dir": "relative"})).status_code == 400
    assert (await world.post("/models/scan", {})).json()["items"] == []


@pytest.mark.parametrize("id", ["%00", "..", "%2e%2e%2f", "ü", "a" * 3000, "%ff", "a%0ab"])
async def test_an_id_with_odd_characters_is_not_found(world: World, id: str):
    for call in (
        world.get(f"/models/{id}"),
        world.delete(f"/models/{id}"),
        world.post(f"/models/{id}/load"),
        world.get(f"/nodes/{id}"),
        world.get(f"/operations/{id}"),
        world.get(f"/requests/{id}"),
        world.delete(f"/tokens/{id}"),
    ):
        assert (await call).status_code in (404, 405)


async def test_the_demo_model_is_installed_once_and_stays_removed(world: World):
    from controlplane.store.meta import MetaTable

    await world.join_as_leader()
    services = world.services
    meta = MetaTable(services.audit._database)  # pyright: ignore[reportPrivateUsage]
    await install.ensure_demo_model(services.cluster, meta)
    demo = services.cluster.state.models[install.DEMO]
    assert (demo.replicas, demo.path) == (1, str(demo_model()))
    world.schedule()
    assert placement_of(world)
    await world.delete(f"/models/{install.DEMO}")
    await install.ensure_demo_model(services.cluster, meta)
    assert install.DEMO not in services.cluster.state.models


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("Qwen3-0.6B-Q8_0.gguf", "qwen3-0.6b-q8_0"),
        ("Llama 3 (8B).GGUF", "llama-3-8b"),
        ("big-00001-of-00003.gguf", "big"),
        ("...gguf", "model"),
        ("模型.gguf", "model"),
        ("x" * 300 + ".gguf", "x" * 100),
    ],
)
def test_an_id_is_made_of_the_files_name(name: str, id: str):
    assert install.id_from(f"/models/{name}") == id
