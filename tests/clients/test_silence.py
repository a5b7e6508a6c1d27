"""An engine is silent for longer than a client bears by its own timer: what it hears meanwhile keeps it waiting."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import Server, run_claude_code, run_codex
from tests.clients.chat_agents import run_qwen_code
from tests.clients.mute import mute
from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import MODEL, Fault, Script

pytestmark = [pytest.mark.every_client, pytest.mark.needs_program("node"), pytest.mark.timeout(400)]

PATIENCE_S = 14
"""More than the 10 s after which something is said, less than the silence."""
SILENCE_S = 27
READ = "Please do flock-task:read:secret.txt"


@dataclass(frozen=True, slots=True)
class Agent:
    """`heads`: its timer runs between events, when a stream has begun; else it is one for the head of an answer."""

    package: str
    run: Callable[..., Any]
    heads: bool


AGENTS = {
    "claude-code": Agent("claude-code", run_claude_code, heads=False),
    "codex": Agent("codex", run_codex, heads=True),
    "qwen-code": Agent("qwen-code", run_qwen_code, heads=False),
}
agents = pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)


@pytest.fixture
def package(agent: Agent, from_npm: Callable[[str], Path]) -> Path:
    return from_npm(agent.package)


@agents
@pytest.mark.parametrize("after", [0, 2], ids=["before the first word", "in the midst"])
def test_it_waits_for_a_silent_engine_and_does_its_task(
    stage: Stage, work: Workplace, package: Path, agent: Agent, after: int
) -> None:
    fault = Fault("pause", after=after, pause_s=SILENCE_S)
    stage.engine.play(Script(fault=fault))
    server = Server(stage.url, stage.key, MODEL)
    done = agent.run(package, work, server, READ, patience_s=PATIENCE_S, timeout=120)
    assert done.code == 0, (done.out, done.err)
    assert f"It says {work.secret}" in done.out
    assert stage.engine.struck == 1
    asked = [str(heard.body["messages"]) for heard in stage.engine.heard]
    assert len(set(asked)) == len(asked), "it has asked for the same again"


@agents
def test_its_timer_is_real(work: Workplace, package: Path, agent: Agent) -> None:
    """It leaves who says nothing at all."""
    with mute(heads=agent.heads) as server:
        told = Server(server.url, "key", MODEL)
        agent.run(package, work, told, READ, patience_s=PATIENCE_S, timeout=PATIENCE_S + 12)
        assert server.borne
        assert PATIENCE_S - 1 < server.borne[0] < PATIENCE_S + 5
