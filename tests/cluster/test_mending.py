"""Tool calls that a model leaks as text reach every protocol's client as calls, though the engine parses none."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest

from tests.cluster.program import Program, eventually, running
from tests.ports import free_port

LEAK = '<tool_call> {"name": "get_weather", "arguments": {"city": "Paris"}} </tool_call>'
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION: dict[str, Any] = {"name": "get_weather", "description": "The weather.", "parameters": SCHEMA}
CHAT_TOOLS: Any = [{"type": "function", "function": FUNCTION}]
ASK: Any = [{"role": "user", "content": "How is the weather in Paris?"}]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    port = free_port()
    script = json.dumps({"text": LEAK})
    argv = [sys.executable, "-P", "-m", "flockpy.engines.fake", "--port", str(port), "--script", script]
    engine = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        with running(
            tmp_path_factory.mktemp("mending"), FLOCK_LLAMACPP_ENDPOINT=f"http://127.0.0.1:{port}"
        ) as program:
            eventually(lambda: program.model_state("fake") == "serving", "the engine is adopted")
            yield program
    finally:
        engine.kill()
        engine.wait()


@pytest.fixture(scope="module")
def oai(program: Program) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{program.url}/v1", api_key=program.key) as client:
        yield client


@pytest.mark.parametrize("stream", [False, True])
def test_chat_completions(oai: openai.OpenAI, stream: bool) -> None:
    if stream:
        with oai.chat.completions.stream(model="fake", messages=ASK, tools=CHAT_TOOLS) as events:
            choice: Any = events.get_final_completion().choices[0]
    else:
        choice = oai.chat.completions.create(model="fake", messages=ASK, tools=CHAT_TOOLS).choices[0]
    (call,) = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content


@pytest.mark.parametrize("stream", [False, True])
def test_responses(oai: openai.OpenAI, stream: bool) -> None:
    tools: Any = [{"type": "function", "strict": False, **FUNCTION}]
    if stream:
        with oai.responses.stream(model="fake", input=ASK, tools=tools) as events:
            output: Any = events.get_final_response().output
    else:
        output = oai.responses.create(model="fake", input=ASK, tools=tools).output
    (call,) = output
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call",
        "get_weather",
        {"city": "Paris"},
    )


@pytest.mark.parametrize("stream", [False, True])
def test_messages(program: Program, stream: bool) -> None:
    tools: Any = [{"name": "get_weather", "description": "The weather.", "input_schema": SCHEMA}]
    with anthropic.Anthropic(base_url=program.url, api_key=program.key) as client:
        if stream:
            with client.messages.stream(model="fake", max_tokens=99, messages=ASK, tools=tools) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(model="fake", max_tokens=99, messages=ASK, tools=tools)
    (call,) = message.content
    assert call.type == "tool_use"
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    assert message.stop_reason == "tool_use"


@pytest.mark.parametrize("stream", [False, True])
def test_without_tools_it_is_text(oai: openai.OpenAI, stream: bool) -> None:
    if stream:
        chunks = oai.chat.completions.create(model="fake", messages=ASK, stream=True)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    else:
        text = oai.chat.completions.create(model="fake", messages=ASK).choices[0].message.content or ""
    assert text == LEAK


def test_what_was_mended_is_counted(program: Program, oai: openai.OpenAI) -> None:
    oai.chat.completions.create(model="fake", messages=ASK, tools=CHAT_TOOLS)
    with program.client() as client:
        metrics = client.get("/metrics").text
    (line,) = [line for line in metrics.splitlines() if line.startswith('flockpy_mended_total{kind="hermes"')]
    assert float(line.split()[-1]) >= 1
