"""A real agent and a leader that comes, goes and forgets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from flockpy.placement import PlacementSpec, Ready
from tests.cluster.agents import agent_process
from tests.cluster.stub_leader import StubLeader
from tests.tiny_models import model_spec, tiny_model


@pytest.fixture
async def leader() -> AsyncIterator[StubLeader]:
    stub = StubLeader()
    await stub.come()
    yield stub
    await stub.go()


def spec() -> PlacementSpec:
    return PlacementSpec("p_1", model_spec(tiny_model(mode="text")))


async def ready(leader: StubLeader) -> int:
    """The process of the placement, once it is ready."""
    found = await leader.until(lambda all: "p_1" in all and isinstance(all["p_1"].status, Ready))
    return found["p_1"].pid or 0


async def test_engines_go_on_while_the_leader_is_away_and_nothing_moves_when_it_is_back(
    leader: StubLeader, tmp_path: Path, checkout: Path
):
    with agent_process(tmp_path / "data", leader.url, checkout) as agent:
        await leader.want(spec())
        pid = await ready(leader)
        await leader.go()
        await asyncio.sleep(1.5)
        assert [engine.pid for engine in agent.engines()] == [pid]
        await leader.come()
        leader.reports.clear()
        assert await ready(leader) == pid


async def test_it_may_be_started_before_its_leader(tmp_path: Path, checkout: Path):
    late = StubLeader()
    await late.come()
    await late.go()
    with agent_process(tmp_path / "data", late.url, checkout, "--local"):
        await asyncio.sleep(1)
        await late.want(spec())
        await late.come()
        assert await ready(late)
        await late.go()


async def test_a_forgotten_local_agent_registers_with_the_new_token_and_keeps_its_engines(
    leader: StubLeader, tmp_path: Path, checkout: Path
):
    with agent_process(tmp_path / "data", leader.url, checkout, "--local") as agent:
        await leader.want(spec())
        pid = await ready(leader)
        leader.keys.clear()
        leader.tokens.add("fresh")
        agent.token_file.write_text("fresh")
        await leader.next_report()
        assert list(leader.keys.values()) == ["n_1"]
        assert await ready(leader) == pid


async def test_a_worker_that_is_forgotten_stops_with_the_reason_and_without_engines(
    leader: StubLeader, tmp_path: Path, checkout: Path
):
    with agent_process(tmp_path / "data", leader.url, checkout) as agent:
        await leader.want(spec())
        pid = await ready(leader)
        leader.keys.clear()
        assert await agent.ended() == 3
        assert not psutil.pid_exists(pid)
        said = agent.log.read_text()
        assert "the leader does not take this node" in said
        assert "flockpy token create --node" in said


async def test_a_second_agent_on_the_same_data_directory_is_refused(
    leader: StubLeader, tmp_path: Path, checkout: Path
):
    with agent_process(tmp_path / "data", leader.url, checkout):
        await leader.next_report()
        with agent_process(tmp_path / "data", leader.url, checkout) as second:
            assert await second.ended() == 3
            assert "an agent already runs on" in second.log.read_text()


async def test_the_identity_is_private_and_no_log_shows_a_key(
    leader: StubLeader, tmp_path: Path, checkout: Path
):
    with agent_process(tmp_path / "data", leader.url, checkout, FLOCK_LOG_LEVEL="debug") as agent:
        await leader.want(spec())
        await ready(leader)
        status = leader.placements()["p_1"].status
        assert isinstance(status, Ready)
        files = [
            path
            for path in (tmp_path / "data").rglob("*")
            if path.is_file() and path.name not in ("token", "agent.log")
        ]
        assert {path.stat().st_mode & 0o077 for path in files} == {0}
        logs = agent.log.read_text() + (tmp_path / "data/logs/engines/tiny.log").read_text()
        assert status.endpoint.key not in logs
        assert next(iter(leader.keys)) not in logs
