"""A vendor refuses for a while, or breaks off: each client asks again by itself, or says what happened."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.clients.agents import Server
from tests.clients.every_agent import AGENTS, Agent, last_words, marks
from tests.clients.sdk_asks import ASKS, CALL, Ask
from tests.clients.vendors import CHAT_GPT, CLAUDE, GPT, Vendors
from tests.clients.workplace import Done, Workplace
from tests.simulators.tool_model import GREETING
from tests.simulators.vendor_server import Fault
from tests.timing import in_time, timed

pytestmark = pytest.mark.timeout(400)  # the first ones install

BEFORE: Final = {
    "too many requests": Fault("status", status=429, retry_after=1),
    "broken": Fault("status", status=500),
    "overloaded": Fault("status", status=529),
    "before its head": Fault("drop"),
}
IN_TEXT: Final = {
    "in mid-text": Fault("reset", within="text"),
    "in mid-text, as if at its end": Fault("cut", within="text"),
    "in mid-text, with an error": Fault("error", within="text"),
}
IN_CALLS: Final = {
    "in mid-arguments": Fault("reset", within="arguments"),
    "in mid-arguments, as if at its end": Fault("cut", within="arguments"),
    "in mid-arguments, with an error": Fault("error", within="arguments"),
}
IN_CI: Final = ("too many requests", "broken", "before its head", "in mid-text", "in mid-arguments")
FEW_IN_CI: Final = ("too many requests", "in mid-arguments")
"""Of an agent with a model of its own vendor; and with one of the other."""


def hopeless(name: str, model: str, fault: Fault) -> bool:
    """Continue asks again after few of the words that vendors have for what goes wrong; they pass as they are."""
    if (name, model) == ("continue", GPT):
        return fault.kind == "error"
    theirs = fault.kind == "error" or (fault.kind == "status" and fault.status != 529)
    return (name, model) == ("continue-messages", CLAUDE) and theirs


def cases(*, repeats: bool) -> list[Any]:
    """Agents that ask again when an answer breaks off, or not, with each vendor's model and each fault."""
    found: list[Any] = []
    for name, agent in AGENTS.items():
        broken = {**IN_TEXT, **(IN_CALLS if agent.calls else {})}
        faults = BEFORE | broken if repeats and agent.repeats else BEFORE if repeats else broken
        if not repeats and agent.repeats:
            continue
        for model in (CLAUDE, GPT):
            now = IN_CI if (name == "codex") == (model == GPT) else FEW_IN_CI
            for what, fault in faults.items():
                if hopeless(name, model, fault):
                    continue
                needs = marks(name) if what in now else [*marks(name), pytest.mark.every_client]
                found.append(pytest.param(agent, model, fault, id=f"{name} {model} {what}", marks=needs))
    return found


@pytest.fixture
def run(
    vendors: Vendors, work: Workplace, from_npm: Callable[[str], Path], from_pypi: Callable[[str], Path]
) -> Callable[[Agent, str, Fault], Done]:
    """Let an agent do its task with a vendor that has a fault, which must have struck; a stream has begun by then."""

    def does(agent: Agent, model: str, fault: Fault) -> Done:
        package = (from_npm if agent.npm else from_pypi)(agent.package)
        vendors.behave(fault=fault, split=4, start_s=0.05)
        done = agent.run(package, work, Server(vendors.url, vendors.key, model))
        assert vendors.asked(model).struck == fault.times or fault.times == sys.maxsize
        assert vendors.refusals == []
        return done

    return does


@pytest.mark.parametrize(("agent", "model", "fault"), cases(repeats=True))
def test_an_agent_asks_again_and_does_its_task(
    run: Callable[[Agent, str, Fault], Done], work: Workplace, agent: Agent, model: str, fault: Fault
) -> None:
    done = run(agent, model, fault)
    assert done.code == 0, (done.out, done.err)
    assert work.secret in last_words(done, work)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("name", "model", "within_s"),
    [("claude-code", CLAUDE, 10), pytest.param("codex", GPT, 50, marks=pytest.mark.every_client)],
)
@pytest.mark.needs_program("node")
@timed
def test_a_vendor_that_refuses_the_leader_keeps_no_agent_waiting(
    run: Callable[[Agent, str, Fault], Done], name: str, model: str, within_s: float, status: int
) -> None:
    """Codex asks thirty times, whatever it is told."""
    since = time.monotonic()
    done = run(AGENTS[name], model, Fault("status", status=status, times=sys.maxsize, message="not you"))
    took = time.monotonic() - since
    assert done.code == 1
    assert ("the leader's key" if status == 401 else "not you") in done.out
    in_time(took, within_s)


@pytest.mark.parametrize(("agent", "model", "fault"), cases(repeats=False))
def test_an_agent_that_never_asks_again_says_what_happened(
    run: Callable[[Agent, str, Fault], Done], work: Workplace, agent: Agent, model: str, fault: Fault
) -> None:
    done = run(agent, model, fault)
    assert done.code == 1, (done.out, done.err)
    assert ("scripted fault" if fault.kind == "error" else "broke off") in done.err
    assert work.secret not in last_words(done, work)


sdks = pytest.mark.parametrize("ask", ASKS)
by_model = pytest.mark.parametrize("model", [CLAUDE, CHAT_GPT])


@sdks
@by_model
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(
            fault,
            id=what,
            marks=[] if fault.kind == "drop" or fault.retry_after else pytest.mark.every_client,
        )
        for what, fault in BEFORE.items()
    ],
)
def test_an_sdk_asks_again_for_what_has_failed_before_an_answer(
    vendors: Vendors, ask: Ask, model: str, fault: Fault
) -> None:
    vendors.behave(fault=fault)
    assert ask(Server(vendors.url, vendors.key, model), "hello") == GREETING
    assert vendors.asked(model).struck == fault.times
    assert vendors.refusals == []


@sdks
@by_model
@pytest.mark.parametrize("fault", [*IN_TEXT.values(), *IN_CALLS.values()], ids=[*IN_TEXT, *IN_CALLS])
def test_an_sdk_never_takes_half_an_answer_for_one(
    vendors: Vendors, ask: Ask, model: str, fault: Fault
) -> None:
    vendors.behave(fault=fault, split=4, start_s=0.05)
    said = "scripted fault" if fault.kind == "error" else "broke off"
    with pytest.raises((openai.APIError, anthropic.APIError), match=said):
        ask(Server(vendors.url, vendors.key, model), CALL if fault.within == "arguments" else "hello")
    assert vendors.asked(model).struck == len(vendors.asked(model).requests) == 1
