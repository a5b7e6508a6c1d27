"""An engine dies, or is not there yet: each agent asks again by itself and does its task, or says why it cannot."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import Server
from tests.clients.every_agent import AGENTS, Agent, last_words, marks
from tests.clients.faults import BEFORE, IN_CALLS, IN_TEXT
from tests.clients.stage import Stage
from tests.clients.workplace import Done, Workplace
from tests.simulators.strict_engine import MODEL, Fault, Script

pytestmark = pytest.mark.timeout(400)  # the first ones install


def faults(agent: Agent) -> Mapping[str, Fault]:
    return {**BEFORE, **IN_TEXT, **(IN_CALLS if agent.calls else {})}


def cases(faults: Callable[[Agent], Mapping[str, Fault]]) -> list[Any]:
    """Each agent with each of these faults."""
    found: list[Any] = []
    for name, agent in AGENTS.items():
        found += [
            pytest.param(agent, fault, id=f"{name} {what}", marks=marks(name))
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


@pytest.mark.parametrize(("agent", "fault"), cases(lambda agent: faults(agent) if agent.repeats else BEFORE))
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
    """Qwen Code and llm; neither acts upon half a call, or takes half an answer for one."""
    done = run(agent, fault)
    assert done.code == 1, (done.out, done.err)
    assert "broke off" in done.err
    assert work.secret not in last_words(done, work)
    assert len(stage.engine.heard) == (1 if fault.of == "calls" else 2)
