"""An engine dies, or is not there yet: the SDKs ask again by themselves before an answer has begun, and raise after."""

import anthropic
import openai
import pytest

from tests.clients.agents import Server
from tests.clients.faults import BEFORE, IN_CALLS, IN_TEXT
from tests.clients.sdk_asks import ASKS, CALL, Ask
from tests.clients.stage import Stage
from tests.simulators.strict_engine import MODEL, Fault, Script
from tests.simulators.tool_model import GREETING


@pytest.fixture
def server(stage: Stage) -> Server:
    return Server(stage.url, stage.key, MODEL)


sdks = pytest.mark.parametrize("ask", ASKS)


@sdks
@pytest.mark.parametrize("fault", BEFORE.values(), ids=BEFORE)
def test_what_fails_before_an_answer_is_asked_for_again(
    stage: Stage, server: Server, ask: Ask, fault: Fault
) -> None:
    stage.engine.play(Script(fault=fault))
    assert ask(server, "hello") == GREETING
    assert stage.engine.struck == fault.times
    assert stage.engine.refusals == []


@sdks
@pytest.mark.parametrize("fault", [*IN_TEXT.values(), *IN_CALLS.values()], ids=[*IN_TEXT, *IN_CALLS])
def test_an_answer_that_breaks_off_is_an_error_and_never_an_answer(
    stage: Stage, server: Server, ask: Ask, fault: Fault
) -> None:
    stage.engine.play(Script(fault=fault, split=4))
    with pytest.raises((openai.APIError, anthropic.APIError), match="broke off"):
        ask(server, CALL if fault.of == "calls" else "hello")
    assert stage.engine.struck == len(stage.engine.heard) == 1
