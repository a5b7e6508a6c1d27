"""MLX-LM as an engine that an agent starts for a Hugging Face folder."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from flockpy.modelfile import capabilities
from flockpy.modelfolder import read_folder
from flockpy.placement import Failed, ModelSpec, PlacementSpec, Ready
from tests.cluster.agents import AgentProcess, agent_process, alive
from tests.cluster.stub_leader import StubLeader
from tests.tiny_models import tiny_folder

pytestmark = pytest.mark.needs_program("mlx_lm.server")


@pytest.fixture
async def leader() -> AsyncIterator[StubLeader]:
    stub = StubLeader()
    await stub.come()
    yield stub
    await stub.go()


@pytest.fixture
async def agent(tmp_path: Path, leader: StubLeader, checkout: Path) -> AsyncIterator[AgentProcess]:
    with agent_process(tmp_path / "data", leader.url, checkout, "--local") as started:
        yield started


def placement(folder: Path) -> PlacementSpec:
    meta = read_folder(folder)
    model = ModelSpec(
        "tiny", str(folder), meta.size_bytes, meta.context_length, capabilities(meta), meta.format
    )
    return PlacementSpec("p_1", model)


async def test_a_folder_is_served_on_loopback_and_unloaded(leader: StubLeader, agent: AgentProcess):
    await leader.want(placement(tiny_folder(mode="text")))
    found = await leader.until(lambda all: "p_1" in all and isinstance(all["p_1"].status, Ready))
    report, status = found["p_1"], found["p_1"].status
    assert isinstance(status, Ready)
    assert (report.engine, report.model_id, report.engine_model) == ("mlx", "tiny", "default_model")
    assert (status.slots, status.context_window) == (2, 4096)
    async with httpx.AsyncClient(base_url=status.endpoint.url, timeout=30) as client:
        body = {"model": report.engine_model, "messages": [{"role": "user", "content": "hi"}]}
        answer = (await client.post("/v1/chat/completions", json=body)).json()
        assert answer["choices"][0]["message"]["content"].startswith("Hello! The quick brown fox")
    (engine,) = agent.engines()
    assert {listener.laddr.ip for listener in engine.net_connections()} == {"127.0.0.1"}
    await leader.want()
    await leader.until(lambda all: not all)
    assert not alive(engine)


async def test_a_folder_that_cannot_be_loaded_is_never_ready(
    leader: StubLeader, agent: AgentProcess, tmp_path: Path
):
    folder = shutil.copytree(tiny_folder(mode="text"), tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}              ")
    await leader.want(placement(folder))
    found = await leader.until(lambda all: "p_1" in all and isinstance(all["p_1"].status, Failed | Ready))
    status = found["p_1"].status
    assert isinstance(status, Failed)
    assert "it does not answer" in status.reason
