"""An engine is silent for longer than a client bears by its own timer: what it hears meanwhile keeps it waiting."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import Server, run_claude_code, run_codex, run_opencode
from tests.clients.chat_agents import run_aider, run_continue, run_qwen_code
from tests.clients.every_agent import last_words
from tests.clients.mute import mute
from tests.clients.sdk_asks import ASKS, Ask
from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.cluster.program import eventually
from tests.simulators.strict_engine import MODEL, Fault, Script
from tests.simulators.tool_model import GREETING

pytestmark = [pytest.mark.every_client, pytest.mark.needs_program("node"), pytest.mark.timeout(400)]

PATIENCE_S = 14
"""More than the 10 s after which something is said, less than the silence."""
SILENCE_S = 27
READ = "Please do flock-task:read:secret.txt"
EDIT = "Please do flock-task:edit:out.txt"


@dataclass(frozen=True, slots=True)
class Agent:
    """`heads`: its timer runs between events, when a stream has begun; else it is one for the head of an answer."""

    package: str
    run: Callable[..., Any]
    heads: bool
    npm: bool = True
    task: str = READ


AGENTS = {
    "claude-code": Agent("claude-code", run_claude_code, heads=False),
    "codex": Agent("codex", run_codex, heads=True),
    "qwen-code": Agent("qwen-code", run_qwen_code, heads=False),
    "opencode": Agent("opencode", partial(run_opencode, untitled=True), heads=True),
    "continue": Agent("continue", run_continue, heads=False),
    "aider": Agent("aider", run_aider, heads=True, npm=False, task=EDIT),
}


def asked_again(stage: Stage) -> bool:
    """Whether the engine was asked for the same twice."""
    asked = [str(heard.body["messages"]) for heard in stage.engine.heard]
    return len(set(asked)) < len(asked)


agents = pytest.mark.parametrize("agent", AGENTS.values(), ids=AGENTS)


@pytest.fixture
def package(agent: Agent, from_npm: Callable[[str], Path], from_pypi: Callable[[str], Path]) -> Path:
    return (from_npm if agent.npm else from_pypi)(agent.package)


@agents
@pytest.mark.parametrize("after", [0, 2], ids=["before the first word", "in the midst"])
def test_it_waits_for_a_silent_engine_and_does_its_task(
    stage: Stage, work: Workplace, package: Path, agent: Agent, after: int
) -> None:
    fault = Fault("pause", after=after, pause_s=SILENCE_S)
    stage.engine.play(Script(fault=fault))
    server = Server(stage.url, stage.key, MODEL)
    done = agent.run(package, work, server, agent.task, patience_s=PATIENCE_S, timeout=120)
    assert done.code == 0, (done.out, done.err)
    assert work.secret in last_words(done, work)
    assert stage.engine.struck == 1
    assert not asked_again(stage)


@agents
def test_its_timer_is_real(work: Workplace, package: Path, agent: Agent) -> None:
    """It leaves who says nothing at all."""
    with mute(heads=agent.heads) as server:
        told = Server(server.url, "key", MODEL)
        agent.run(package, work, told, agent.task, patience_s=PATIENCE_S, timeout=PATIENCE_S + 12)
        assert server.borne
        assert PATIENCE_S - 1 < server.borne[0] < PATIENCE_S + 5


sdks = pytest.mark.parametrize("ask", ASKS)


@sdks
@pytest.mark.parametrize("after", [0, 2], ids=["before the first word", "in the midst"])
def test_an_sdk_waits_for_a_silent_engine(stage: Stage, ask: Ask, after: int) -> None:
    stage.engine.play(Script(fault=Fault("pause", after=after, pause_s=SILENCE_S)))
    assert ask(Server(stage.url, stage.key, MODEL), "hello", timeout=PATIENCE_S) == GREETING
    assert stage.engine.struck == 1
    assert not asked_again(stage)


@sdks
def test_the_timer_of_an_sdk_is_real(ask: Ask) -> None:
    with mute(heads=True) as server:
        with pytest.raises(Exception, match="timed out"):
            ask(Server(server.url, "key", MODEL), "hello", timeout=PATIENCE_S, max_retries=0)
        eventually(lambda: server.borne, "the client has hung up")
        assert PATIENCE_S - 1 < server.borne[0] < PATIENCE_S + 5
