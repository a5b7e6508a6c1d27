"""The official SDKs do a task with tools through a model of OpenAI's, whatever protocol they speak."""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from tests.cluster.abroad import CODEX, GPT, Abroad, abroad
from tests.cluster.metering import record_of
from tests.simulators.tool_model import SECRET, Turn, picture_digest

SECRETS = {"a.txt": "FLOCK-SECRET-0123456789ab", "b.txt": "FLOCK-SECRET-ba9876543210"}
TASK = "Please do flock-task:read:a.txt,b.txt"
SCHEMA: Any = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]}
SAYS = "Reads a file."
FUNCTION: Any = {"name": "read_file", "description": SAYS, "parameters": SCHEMA}
PICTURE = base64.b64encode(b"no picture, but it passes for one").decode()
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with abroad(tmp_path_factory.mktemp("tools")) as world:
        yield world


@pytest.fixture
def closing() -> Iterator[Callable[[Any], Any]]:
    """Clients are closed in the end."""
    opened: list[Any] = []

    def keep(client: Any) -> Any:
        opened.append(client)
        return client

    yield keep
    for client in opened:
        client.close()


@pytest.fixture
def of_openai(world: Abroad, closing: Callable[[Any], Any]) -> Any:
    url = f"{world.stage.program.url}/v1"
    return closing(openai.OpenAI(base_url=url, api_key=world.stage.key, max_retries=0))


@pytest.fixture
def of_anthropic(world: Abroad, closing: Callable[[Any], Any]) -> Any:
    url = world.stage.program.url
    return closing(anthropic.Anthropic(base_url=url, api_key=world.stage.key, max_retries=0))


def read(arguments: Any) -> str:
    """What the tool does, strict about what it is given."""
    asked = json.loads(arguments) if isinstance(arguments, str) else arguments
    return f"It is there: {SECRETS[asked['path']]}"


def is_done(world: Abroad, told: str) -> None:
    assert SECRET.findall(told) == list(SECRETS.values())
    assert not world.refusals


@both
@pytest.mark.parametrize("model", ["gpt-4o", GPT, CODEX])
def test_a_chat_of_openais_sdk(world: Abroad, of_openai: Any, model: str, stream: bool):
    world.behave(reasoning="I should look.", split=3)
    messages: list[Any] = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": TASK},
    ]

    def turn() -> Any:
        asked: Any = {
            "model": model,
            "messages": messages,
            "tools": [{"type": "function", "function": FUNCTION}],
        }
        if not stream:
            return of_openai.chat.completions.create(**asked).choices[0]
        with of_openai.chat.completions.stream(**asked) as events:
            return events.get_final_completion().choices[0]

    choice = turn()
    assert (choice.finish_reason, len(choice.message.tool_calls)) == ("tool_calls", 2)
    messages.append(
        choice.message.model_dump(exclude_none=True, exclude={"parsed", "refusal", "annotations"})
    )
    for call in messages[-1]["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
        call.pop("index", None)
        told = read(call["function"]["arguments"])
        messages.append({"role": "tool", "tool_call_id": call["id"], "content": told})
    choice = turn()
    assert choice.finish_reason == "stop"
    is_done(world, choice.message.content)


@both
@pytest.mark.parametrize("model", [GPT, CODEX])
def test_responses_of_openais_sdk(world: Abroad, of_openai: Any, model: str, stream: bool):
    world.behave(reasoning="I should look.", split=3, cache_read=7)
    items: list[Any] = [{"role": "user", "content": TASK}]
    tool: Any = {"type": "function", **FUNCTION, "strict": False}

    def turn() -> Any:
        asked: Any = {"model": model, "input": items, "tools": [tool], "store": False}
        asked |= {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
        if not stream:
            return of_openai.responses.create(**asked)
        with of_openai.responses.stream(**asked) as events:
            kinds = [event.type for event in events]
            assert kinds[:2] == ["response.created", "response.in_progress"]
            return events.get_final_response()

    first = turn()
    assert [item.type for item in first.output] == ["reasoning", "function_call", "function_call"]
    for item in first.output:
        items.append(item.model_dump(exclude_none=True, exclude={"parsed_arguments"}))
    for call in first.output[1:]:
        items.append(
            {"type": "function_call_output", "call_id": call.call_id, "output": read(call.arguments)}
        )
    last = turn()
    assert (last.status, last.usage.input_tokens_details.cached_tokens) == ("completed", 7)
    is_done(world, last.output_text)


@both
@pytest.mark.parametrize("model", ["gpt-4o", GPT, CODEX])
def test_messages_of_anthropics_sdk(world: Abroad, of_anthropic: Any, model: str, stream: bool):
    world.behave(reasoning="I should look.", split=3)
    messages: list[Any] = [{"role": "user", "content": TASK}]
    thinking: Any = {} if model == "gpt-4o" else {"thinking": {"type": "enabled", "budget_tokens": 1024}}

    def turn() -> Any:
        asked: Any = {
            "model": model,
            "messages": messages,
            "max_tokens": 4000,
            "system": "Be brief.",
            **thinking,
        }
        asked["tools"] = [{"name": "read_file", "description": SAYS, "input_schema": SCHEMA}]
        if not stream:
            return of_anthropic.messages.create(**asked)
        with of_anthropic.messages.stream(**asked) as events:
            return events.get_final_message()

    first = turn()
    assert first.stop_reason == "tool_use"
    kinds = [block.type for block in first.content]
    assert kinds == (["thinking"] if thinking else []) + ["tool_use", "tool_use"]
    messages.append({"role": "assistant", "content": [block.model_dump() for block in first.content]})
    results = [
        {
            "type": "tool_result",
            "tool_use_id": block.id,
            "content": [{"type": "text", "text": read(block.input)}],
        }
        for block in first.content
        if block.type == "tool_use"
    ]
    messages.append({"role": "user", "content": results})
    last = turn()
    assert last.stop_reason == "end_turn"
    is_done(world, "".join(block.text for block in last.content if block.type == "text"))


@both
@pytest.mark.parametrize("model", [GPT, CODEX])
def test_a_chat_of_ollamas_client(world: Abroad, closing: Callable[[Any], Any], model: str, stream: bool):
    world.behave(reasoning="I should look.", split=3)
    api: Any = ollama.Client(
        host=world.stage.program.url, headers={"authorization": f"Bearer {world.stage.key}"}
    )
    closing(api._client)
    messages: list[Any] = [{"role": "user", "content": TASK}]

    def turn() -> Any:
        tools = [{"type": "function", "function": FUNCTION}]
        said = api.chat(model=model, messages=messages, tools=tools, stream=stream)
        if not stream:
            return said.message
        parts = [part.message for part in said]
        calls = [call for part in parts for call in part.tool_calls or ()]
        return ollama.Message(
            role="assistant", content="".join(part.content or "" for part in parts), tool_calls=calls
        )

    first = turn()
    messages.append(first)
    assert len(first.tool_calls) == 2
    for call in first.tool_calls:
        told = read(dict(call.function.arguments))
        messages.append({"role": "tool", "tool_name": call.function.name, "content": told})
    is_done(world, turn().content)


def test_a_picture_in_a_tools_result_is_seen(world: Abroad, of_anthropic: Any):
    world.behave()
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    call = {"type": "tool_use", "id": "t1", "name": "read_file", "input": {"path": "a.png"}}
    seen = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "image", "source": source}]}
    messages: list[Any] = [
        {"role": "user", "content": "Please do flock-task:look:a.png"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [seen]},
    ]
    tools = [{"name": "read_file", "description": SAYS, "input_schema": SCHEMA}]
    said = of_anthropic.messages.create(model=GPT, max_tokens=4000, messages=messages, tools=tools)
    assert picture_digest(PICTURE) in said.content[-1].text
    assert not world.refusals


def test_tokens_are_estimated_and_said_to_be(world: Abroad, of_anthropic: Any):
    world.behave()
    asked: Any = {"model": GPT, "messages": [{"role": "user", "content": "Count these words, please. " * 40}]}
    counted = of_anthropic.messages.with_raw_response.count_tokens(**asked)
    assert counted.headers["x-flock-tokens"] == "estimated"
    assert not world.openai.requests
    used = of_anthropic.messages.create(max_tokens=64, **asked).usage
    assert counted.parse().input_tokens >= used.input_tokens


async def test_what_the_sdks_make_of_errors(world: Abroad, of_openai: Any, of_anthropic: Any):
    world.behave()
    with pytest.raises(openai.BadRequestError) as refused:
        of_openai.chat.completions.create(
            model=GPT, messages=[{"role": "user", "content": "hi"}], frequency_penalty=0.5
        )
    assert (refused.value.param, refused.value.code) == ("frequency_penalty", "unsupported_value")
    with pytest.raises(openai.NotFoundError):
        of_openai.responses.create(model="gpt-9", input="hi")
    with pytest.raises(anthropic.NotFoundError):
        of_anthropic.messages.create(
            model="gpt-9", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        )
    world.openai.prompt_limit = 3
    try:
        with pytest.raises(openai.BadRequestError) as long:
            of_openai.responses.create(model=GPT, input="one two three four five six")
        assert long.value.code == "context_length_exceeded"
        with pytest.raises(anthropic.BadRequestError, match="prompt is too long") as too_long:
            of_anthropic.messages.create(
                model=GPT, max_tokens=9, messages=[{"role": "user", "content": "a b c d"}]
            )
    finally:
        del world.openai.prompt_limit
    record = await asyncio.to_thread(
        record_of, world.stage.program, too_long.value.response.headers["x-request-id"]
    )
    assert (record["outcome"], record["status"]) == ("refused", 400)


def test_reasoning_that_another_model_had_stays_behind_and_is_named(world: Abroad):
    world.behave(turn=Turn("three"))
    hi, said = {"role": "user", "content": "hi"}, {"role": "assistant", "content": "two"}
    other = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "EqQBCgIYAhIM"}
    with world.stage.program.client(world.stage.key) as client:
        answer = client.post("/v1/responses", json={"model": CODEX, "input": [hi, other, said, hi]})
    assert answer.status_code == 200, answer.text
    assert json.loads(world.openai.requests[-1].body)["input"] == [hi, said, hi]
    assert answer.headers["x-flock-dropped"] == "input[1]"
