"""Processes that are killed, ended or started again: what goes on, what comes back, what is left."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cluster.asking import Asked, await_busy, await_usage, engine_of, records, slow_model
from tests.cluster.program import Program, eventually, running
from tests.timing import in_time, timed


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("lifecycle")
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "config.yaml").write_text("limits: {shutdown_seconds: 4}\n")
    with running(folder) as started:
        started.add_model(slow_model(), "slow")
        yield started


def engine_pids(program: Program) -> set[int]:
    return {engine.pid for engine in program.engines()}


def serves(program: Program) -> bool:
    try:
        return program.chat("slow", max_tokens=2).status_code == 200
    except httpx.TransportError:
        return False


def test_a_killed_leader_comes_back_and_neither_agent_nor_engines_notice(program: Program):
    agent, engines = program.process("agent").pid, engine_pids(program)
    key = program.create_key("cut-off")
    with Asked(program, "slow", key=key, max_tokens=3000) as asked:
        asked.until(b"fox")
        leader = program.process("leader")
        leader.kill()
        killed = time.monotonic()
        said = asked.everything()
    assert "[DONE]" not in said
    eventually(program.ready, "the leader is back")
    eventually(lambda: serves(program), "slow is served")
    print(f"leader killed: served again after {time.monotonic() - killed:.1f} s")
    assert program.process("leader").pid != leader.pid
    assert program.process("agent").pid == agent
    assert engine_pids(program) == engines
    (record,) = await_usage(program, "cut-off")
    assert record["outcome"] == "failed"
    await_busy(program, "slow", 0)


def test_engines_serve_on_while_a_killed_agent_comes_back_and_finds_them(program: Program):
    engines, agent = engine_pids(program), program.process("agent")
    with Asked(program, "slow", max_tokens=300) as asked:
        asked.until(b"fox")
        agent.kill()
        assert program.chat("slow", max_tokens=2).status_code == 200
        said = asked.everything()
    assert "[DONE]" in said
    eventually(lambda: agent_pid(program) not in (None, agent.pid), "another agent has come")
    eventually(lambda: program.get("/admin/v1/nodes")["items"][0]["state"] == "ready", "the node is ready")
    eventually(lambda: serves(program), "slow is served")
    assert engine_pids(program) == engines


def agent_pid(program: Program) -> int | None:
    try:
        return program.process("agent").pid
    except (StopIteration, psutil.NoSuchProcess):
        return None


def test_the_next_start_takes_over_what_a_killed_program_left_behind(program: Program):
    before = engine_pids(program)
    program.kill_everything()
    assert engine_pids(program) == before
    began = time.monotonic()
    program.start()
    eventually(lambda: serves(program), "slow is served")
    print(f"everything killed: served again after {time.monotonic() - began:.1f} s")
    assert engine_pids(program) == before


def test_a_second_up_shows_the_status(program: Program):
    second = program.cli("up", "--no-wizard")
    assert second.returncode == 0
    assert "already running" in second.stderr
    assert "leader" in second.stdout
    assert "serving" in second.stdout


def test_the_idle_leader_and_agent_stay_small(program: Program):
    used = {what: program.process(what).memory_info().rss for what in ("leader", "agent")}
    print({what: f"{size / 2**20:.0f} MiB" for what, size in used.items()})
    assert sum(used.values()) < 250 * 2**20


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@timed
def test_a_stop_lets_streams_finish_refuses_new_requests_and_leaves_no_engine(
    program: Program, how: signal.Signals
):
    assert program.parent is not None
    parent = program.parent
    with Asked(program, "slow", max_tokens=150) as short, Asked(program, "slow", max_tokens=9000) as long:
        short.until(b"fox")
        long.until(b"fox")
        began = time.monotonic()
        parent.send_signal(how)
        refused = eventually(lambda: refusal(program), "new requests are refused", 3)
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) >= 1
        assert "[DONE]" in short.everything()
        cut = long.everything()
    assert '"error"' in cut
    assert "[DONE]" not in cut
    assert parent.wait(60) == 0
    print(f"stopped in {time.monotonic() - began:.1f} s")
    assert engine_pids(program) == set()
    assert records(program) == []
    began = time.monotonic()
    program.start()
    eventually(lambda: serves(program), "slow is served")
    print(f"warm start: first token after {time.monotonic() - began:.1f} s")
    in_time(time.monotonic() - began, 20)


def refusal(program: Program) -> httpx.Response | None:
    answer = program.chat("slow", max_tokens=2)
    return answer if answer.status_code != 200 else None


@timed
def test_a_warm_start_has_its_first_token_soon(program: Program):
    in_time(warm_start(program), 10)


def warm_start(program: Program) -> float:
    """Seconds from the start of the program to the first token of a model that was loaded when it was stopped."""
    assert program.stop() == 0
    began = time.monotonic()
    program.start()
    with Asked(program, "flock-demo", max_tokens=5) as asked:
        asked.until(b'"content":"')
        took = time.monotonic() - began
    spent = {what: sum(program.process(what).cpu_times()[:2]) for what in ("leader", "agent")}
    print(f"warm start to first token: {took:.1f} s; CPU seconds: {spent}")
    return took


def test_down_ends_everything(program: Program):
    done = program.cli("down")
    assert done.returncode == 0, done.stderr
    assert program.parent is not None
    assert program.parent.wait(60) == 0
    assert engine_pids(program) == set()
    assert program.cli("down").returncode == 0


def test_an_engine_that_ran_without_its_agent_for_long_is_not_started_twice(tmp_path: Path):
    with running(tmp_path) as program:
        program.add_model(slow_model(), "slow")
        found = engine_of(program, "slow")
        program.kill_everything()
        record = next(r for r in records(program) if r.spec.model.id == "slow")
        (program.data_dir / "agent" / "instances" / f"{record.spec.id}.json").unlink()
        program.start()
        eventually(lambda: serves(program), "slow is served")
        assert not found.is_running() or found.status() == psutil.STATUS_ZOMBIE
        assert sum("slow" in engine.cmdline() for engine in program.engines()) == 1
