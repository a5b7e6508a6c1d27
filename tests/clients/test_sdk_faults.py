"""An engine dies, or is not there yet: the SDKs ask again by themselves before an answer has begun, and raise after."""

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from tests.clients.faults import BEFORE, IN_CALLS, IN_TEXT
from tests.clients.stage import Stage
from tests.simulators.strict_engine import MODEL, Fault, Script
from tests.simulators.tool_model import GREETING

SCHEMA: Any = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
CALL = "Please do flock-task:read:a/rather/long/path/to/secret.txt"
Ask = Callable[[Stage, str], str]


def chat(stage: Stage, task: str) -> str:
    tool: Any = {"type": "function", "function": {"name": "read_file", "parameters": SCHEMA}}
    messages: Any = [{"role": "user", "content": task}]
    with (
        openai.OpenAI(base_url=f"{stage.url}/v1", api_key=stage.key, timeout=30) as client,
        client.chat.completions.stream(model=MODEL, messages=messages, tools=[tool]) as events,
    ):
        message = events.get_final_completion().choices[0].message
    return message.tool_calls[0].function.arguments if message.tool_calls else message.content or ""


def responses(stage: Stage, task: str) -> str:
    tool: Any = {"type": "function", "name": "read_file", "parameters": SCHEMA, "strict": False}
    with (
        openai.OpenAI(base_url=f"{stage.url}/v1", api_key=stage.key, timeout=30) as client,
        client.responses.stream(model=MODEL, input=task, tools=[tool]) as events,
    ):
        kinds: list[str] = []
        for event in events:
            kinds.append(event.type)
            if event.type == "response.failed":
                raise openai.APIError(str(event.response.error), None, body=None)  # type: ignore[arg-type]
        assert kinds[-1] == "response.completed"
        response = events.get_final_response()
    calls = [item for item in response.output if item.type == "function_call"]
    return calls[0].arguments if calls else response.output_text


def messages(stage: Stage, task: str) -> str:
    tool: Any = {"name": "read_file", "input_schema": SCHEMA}
    turns: Any = [{"role": "user", "content": task}]
    with (
        anthropic.Anthropic(base_url=stage.url, api_key=stage.key, timeout=30) as client,
        client.messages.stream(model=MODEL, max_tokens=99, messages=turns, tools=[tool]) as events,
    ):
        content: Any = events.get_final_message().content
    return next((json.dumps(block.input) for block in content if block.type == "tool_use"), content[0].text)


sdks = pytest.mark.parametrize("ask", [chat, responses, messages])


@sdks
@pytest.mark.parametrize("fault", BEFORE.values(), ids=BEFORE)
def test_what_fails_before_an_answer_is_asked_for_again(stage: Stage, ask: Ask, fault: Fault) -> None:
    stage.engine.play(Script(fault=fault))
    assert ask(stage, "hello") == GREETING
    assert stage.engine.struck == fault.times
    assert stage.engine.refusals == []


@sdks
@pytest.mark.parametrize("fault", [*IN_TEXT.values(), *IN_CALLS.values()], ids=[*IN_TEXT, *IN_CALLS])
def test_an_answer_that_breaks_off_is_an_error_and_never_an_answer(
    stage: Stage, ask: Ask, fault: Fault
) -> None:
    stage.engine.play(Script(fault=fault, split=4))
    with pytest.raises((openai.APIError, anthropic.APIError), match="broke off"):
        ask(stage, CALL if fault.of == "calls" else "hello")
    assert stage.engine.struck == len(stage.engine.heard) == 1
