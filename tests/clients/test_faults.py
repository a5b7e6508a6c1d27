"""An engine dies, or is not there yet: each agent asks again by itself and does its task, or says why it cannot."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import Server, run_claude_code, run_codex, run_opencode
from tests.clients.chat_agents import READ_FILE, run_aider, run_continue, run_llm, run_qwen_code
from tests.clients.faults import BEFORE, IN_CALLS, IN_TEXT
from tests.clients.stage import Stage
from tests.clients.workplace import Done, Workplace
from tests.simulators.strict_engine import MODEL, Fault, Script

pytestmark = pytest.mark.timeout(400)  # the first ones install

READ = "Please do flock-task:read:secret.txt"
Run = Callable[[Path, Workplace, Server], Done]


@dataclass(frozen=True, slots=True)
class Agent:
    """`calls`: it has tools. `repeats`: it asks again when an answer breaks off; else it only shows what happened."""

    package: str
    run: Run
    npm: bool = True
    calls: bool = True
    repeats: bool = True

    @property
    def faults(self) -> Mapping[str, Fault]:
        return {**BEFORE, **IN_TEXT, **(IN_CALLS if self.calls else {})}


AGENTS = {
    "claude-code": Agent("claude-code", lambda p, w, s: run_claude_code(p, w, s, READ)),
    "codex": Agent("codex", lambda p, w, s: run_codex(p, w, s, READ)),
    "opencode": Agent("opencode", lambda p, w, s: run_opencode(p, w, s, READ, untitled=True)),
    "opencode-responses": Agent(
        "opencode", lambda p, w, s: run_opencode(p, w, s, READ, "@ai-sdk/openai", untitled=True)
    ),
    "opencode-messages": Agent(
        "opencode",
        lambda p, w, s: run_opencode(p, w, s, READ, "@ai-sdk/anthropic", untitled=True),
        repeats=False,
    ),
    "qwen-code": Agent("qwen-code", lambda p, w, s: run_qwen_code(p, w, s, READ), repeats=False),
    "continue": Agent("continue", lambda p, w, s: run_continue(p, w, s, READ)),
    "aider": Agent(
        "aider",
        lambda p, w, s: run_aider(p, w, s, "Please do flock-task:edit:out.txt"),
        npm=False,
        calls=False,
    ),
    "llm": Agent(
        "llm", lambda p, w, s: run_llm(p, w, s, READ, "--functions", READ_FILE), npm=False, repeats=False
    ),
}
IN_CI = ("claude-code", "codex")


def cases(faults: Callable[[Agent], Mapping[str, Fault]]) -> list[Any]:
    """Each agent with each of these faults."""
    found: list[Any] = []
    for name, agent in AGENTS.items():
        needs = [pytest.mark.needs_program("node" if agent.npm else "git")]
        marks = needs if name in IN_CI else [*needs, pytest.mark.every_client]
        found += [
            pytest.param(agent, fault, id=f"{name} {what}", marks=marks)
            for what, fault in faults(agent).items()
        ]
    return found


@pytest.fixture
def run(
    stage: Stage, work: Workplace, from_npm: Callable[[str], Path], from_pypi: Callable[[str], Path]
) -> Callable[[Agent, Fault], Done]:
    """Let an agent do its task against an engine with a fault, which must have struck."""

    def does(agent: Agent, fault: Fault) -> Done:
        package = (from_npm if agent.npm else from_pypi)(agent.package)
        stage.engine.play(Script(fault=fault))
        done = agent.run(package, work, Server(stage.url, stage.key, MODEL))
        assert stage.engine.struck == fault.times
        assert stage.engine.refusals == []
        return done

    return does


def last_words(done: Done, work: Workplace) -> str:
    """What is left of a task: on stdout, or in the file that it was to write."""
    left = [work.home / "last.txt", work.folder / "out.txt"]
    return done.out + "".join(file.read_text() for file in left if file.exists())


@pytest.mark.parametrize(("agent", "fault"), cases(lambda agent: agent.faults if agent.repeats else BEFORE))
def test_it_asks_again_and_does_its_task(
    run: Callable[[Agent, Fault], Done], work: Workplace, agent: Agent, fault: Fault
) -> None:
    done = run(agent, fault)
    assert done.code == 0, (done.out, done.err)
    assert work.secret in last_words(done, work)


@pytest.mark.parametrize(
    ("agent", "fault"), cases(lambda agent: {} if agent.repeats else {**IN_TEXT, **IN_CALLS})
)
def test_who_never_asks_again_says_that_the_engine_broke_off(
    run: Callable[[Agent, Fault], Done], stage: Stage, work: Workplace, agent: Agent, fault: Fault
) -> None:
    """Qwen Code, llm, and OpenCode over Messages; none acts upon half a call, or takes half an answer for one."""
    done = run(agent, fault)
    assert done.code == 1, (done.out, done.err)
    assert "broke off" in done.err
    assert work.secret not in last_words(done, work)
    assert len(stage.engine.heard) == (1 if fault.of == "calls" else 2)
