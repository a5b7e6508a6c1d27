"""A real agent and real engines: they start, serve, crash, hang, are found again and stop."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import psutil
import pytest

from flockpy.engines.fake.script import Script
from flockpy.placement import Failed, ModelSpec, PlacementSpec, Ready
from flockpy.wire import PlacementReport
from tests.cluster.agents import AgentProcess, agent_process, alive
from tests.cluster.stub_leader import StubLeader
from tests.tiny_models import model_spec, tiny_model


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


def text_model(placement_id: str = "p_1", model_id: str = "org/text") -> PlacementSpec:
    return PlacementSpec(placement_id, model_spec(tiny_model(mode="text"), model_id))


def fake_model(root: Path, script: Script, placement_id: str = "p_fake") -> PlacementSpec:
    path = root / f"{placement_id}.fake.json"
    path.write_bytes(msgspec.json.encode(script))
    return PlacementSpec(placement_id, ModelSpec("fake", str(path), 1, 4096))


async def ready(leader: StubLeader, placement_id: str = "p_1") -> tuple[PlacementReport, Ready]:
    """That placement, once it is ready."""
    found = await leader.until(
        lambda all: placement_id in all and isinstance(all[placement_id].status, Ready)
    )
    status = found[placement_id].status
    assert isinstance(status, Ready)
    return found[placement_id], status


async def failed(leader: StubLeader, placement_id: str = "p_1") -> Failed:
    found = await leader.until(
        lambda all: placement_id in all and isinstance(all[placement_id].status, Failed)
    )
    status = found[placement_id].status
    assert isinstance(status, Failed)
    return status


async def answers(status: Ready) -> str:
    """What the engine says."""
    headers = {"authorization": f"Bearer {status.endpoint.key}"}
    async with httpx.AsyncClient(base_url=status.endpoint.url, headers=headers, timeout=30) as client:
        body = {"messages": [{"role": "user", "content": "hi"}]}
        answer = await client.post("/v1/chat/completions", json=body)
        return answer.json()["choices"][0]["message"]["content"]


async def test_a_model_is_served_and_unloaded_and_the_agent_leaves_nothing(
    leader: StubLeader, agent: AgentProcess
):
    await leader.want(text_model())
    report, status = await ready(leader)
    assert (report.engine, report.model_id, report.capabilities[0]) == ("embedded", "org/text", "chat")
    assert (status.slots, status.context_window) == (2, 4096)
    assert report.memory_bytes > 10 * 2**20
    assert (await answers(status)).startswith("Hello!")
    (engine,) = agent.engines()
    assert engine.pid == report.pid
    assert {listener.laddr.ip for listener in engine.net_connections()} == {"127.0.0.1"}
    assert status.endpoint.key not in " ".join(engine.cmdline())
    assert psutil.Process(agent.process.pid).memory_info().rss < 70 * 2**20
    await leader.want()
    await leader.until(lambda all: not all)
    assert not alive(engine)
    assert await agent.terminate() == 0


@pytest.mark.needs_program("llama-server")
async def test_a_llama_server_that_is_here_is_used(leader: StubLeader, tmp_path: Path, checkout: Path):
    with agent_process(tmp_path / "data", leader.url, checkout, "--local", FLOCK_ENGINE="llamacpp") as agent:
        await leader.want(text_model())
        report, status = await ready(leader)
        assert (report.engine, status.slots, status.context_window) == ("llamacpp", 2, 4096)
        assert (await answers(status)).startswith("Hello!")
        (engine,) = agent.engines()
        assert status.endpoint.key not in " ".join(engine.cmdline())
        assert await agent.terminate() == 0
        assert not alive(engine)


async def test_an_engine_that_is_killed_comes_back(leader: StubLeader, agent: AgentProcess):
    await leader.want(text_model())
    before, _ = await ready(leader)
    os.kill(before.pid or 0, signal.SIGKILL)
    assert (await failed(leader)).reason.startswith("the engine was ended by SIGKILL (")
    after, status = await ready(leader)
    assert after.pid != before.pid
    assert (await answers(status)).startswith("Hello!")
    assert len(agent.engines()) == 1


async def test_an_engine_that_is_stopped_by_a_signal_is_replaced(leader: StubLeader, agent: AgentProcess):
    await leader.want(text_model())
    before, _ = await ready(leader)
    os.kill(before.pid or 0, signal.SIGSTOP)
    assert "does nothing" in (await failed(leader)).reason
    after, status = await ready(leader)
    assert after.pid != before.pid
    assert (await answers(status)).startswith("Hello!")
    assert [engine.pid for engine in agent.engines()] == [after.pid]


async def test_an_engine_that_cannot_load_says_why_in_its_own_words(
    leader: StubLeader, agent: AgentProcess, tmp_path: Path
):
    await leader.want(fake_model(tmp_path, Script(load_error="the weights are sour")))
    status = await failed(leader, "p_fake")
    assert status.reason == "the engine exited with status 1 while loading: error: the weights are sour"
    assert status.retry_in_s is not None


async def test_garbage_is_refused_without_a_try(leader: StubLeader, agent: AgentProcess, tmp_path: Path):
    path = tmp_path / "garbage.gguf"
    path.write_bytes(b"<html>not found</html>" * 100)
    await leader.want(PlacementSpec("p_1", ModelSpec("m", str(path), 1, 4096)))
    status = await failed(leader)
    assert status.reason.startswith(f"{path} is not a usable GGUF file: it starts with b'<htm'")
    assert status.retry_in_s is None


async def test_weights_that_only_the_engine_finds_wrong_fail_with_its_words(
    leader: StubLeader, agent: AgentProcess, tmp_path: Path
):
    path = tmp_path / "odd.gguf"
    path.write_bytes(
        tiny_model(mode="text").read_bytes().replace(b"output_norm.weight", b"output_nose.weight")
    )
    await leader.want(PlacementSpec("p_1", model_spec(path)))
    status = await failed(leader)
    assert status.reason.startswith("the engine exited with status 1 while loading: ")
    assert "output_norm" in status.reason


async def test_two_models_are_served_at_once(leader: StubLeader, agent: AgentProcess):
    await leader.want(text_model("p_1", "a"), text_model("p_2", "b"))
    _, one = await ready(leader, "p_1")
    _, two = await ready(leader, "p_2")
    assert one.endpoint != two.endpoint
    assert await answers(one) == await answers(two)


async def test_the_next_agent_takes_over_what_a_killed_one_left(leader: StubLeader, agent: AgentProcess):
    await leader.want(text_model())
    before, served = await ready(leader)
    agent.kill()
    assert (await answers(served)).startswith("Hello!")
    leader.reports.clear()
    agent.start()
    after, status = await ready(leader)
    assert after.pid == before.pid
    assert status == served
    os.kill(after.pid or 0, signal.SIGKILL)  # and it is watched as before
    assert (await failed(leader)).reason == "the engine ended while serving"
    await ready(leader)


async def test_what_is_not_wanted_any_more_is_cleared_after_a_restart(
    leader: StubLeader, agent: AgentProcess
):
    await leader.want(text_model())
    await ready(leader)
    (engine,) = agent.engines()
    agent.kill()
    await leader.want()
    leader.reports.clear()
    agent.start()
    await leader.until(lambda all: not all)
    async with asyncio.timeout(20):
        while alive(engine):
            await asyncio.sleep(0.05)
    assert await agent.terminate() == 0


async def test_a_stray_without_a_record_is_ended_and_its_placement_starts_anew(
    leader: StubLeader, agent: AgentProcess
):
    await leader.want(text_model())
    before, _ = await ready(leader)
    agent.kill()
    for record in (agent.root / "agent" / "instances").iterdir():
        record.unlink()
    leader.reports.clear()
    agent.start()
    after, _ = await ready(leader)
    assert after.pid != before.pid
    async with asyncio.timeout(20):
        while [engine.pid for engine in agent.engines()] != [after.pid]:
            await asyncio.sleep(0.05)


async def test_an_engine_that_ended_while_no_agent_watched_is_started_anew(
    leader: StubLeader, agent: AgentProcess
):
    await leader.want(text_model())
    before, _ = await ready(leader)
    agent.kill()
    os.kill(before.pid or 0, signal.SIGKILL)
    leader.reports.clear()
    agent.start()
    after, status = await ready(leader)
    assert after.pid != before.pid
    assert (await answers(status)).startswith("Hello!")


async def test_told_to_stop_it_ends_a_stopped_engine_too(leader: StubLeader, agent: AgentProcess):
    await leader.want(text_model())
    report, _ = await ready(leader)
    (engine,) = agent.engines()
    os.kill(report.pid or 0, signal.SIGSTOP)
    assert await agent.terminate() == 0
    assert not alive(engine)
    assert leader.reports[-1].placements == ()


async def test_when_its_parent_goes_it_goes_with_its_engines(
    leader: StubLeader, tmp_path: Path, checkout: Path
):
    with agent_process(tmp_path / "data", leader.url, checkout, "--local", "--supervised") as agent:
        await leader.want(text_model())
        await ready(leader)
        (engine,) = agent.engines()
        assert agent.process.stdin
        agent.process.stdin.close()
        assert await agent.ended() == 0
        assert not alive(engine)


async def test_an_engine_that_runs_already_is_adopted_and_left_alone(
    leader: StubLeader, tmp_path: Path, checkout: Path
):
    engine = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flockpy.engines.fake", "--alias", "theirs"),
        stdout=asyncio.subprocess.PIPE,
        cwd=checkout,
    )
    assert engine.stdout
    url = (await engine.stdout.readline()).decode().split()[-1]
    with agent_process(
        tmp_path / "data", leader.url, checkout, "--local", FLOCK_LLAMACPP_ENDPOINT=url
    ) as agent:
        await leader.until(lambda all: any(isinstance(report.status, Ready) for report in all.values()))
        (report,) = leader.placements().values()
        assert (report.adopted, report.model_id, report.engine, report.pid) == (
            True,
            "theirs",
            "llamacpp",
            None,
        )
        assert await agent.terminate() == 0
        assert engine.returncode is None
    engine.terminate()
    await engine.wait()
