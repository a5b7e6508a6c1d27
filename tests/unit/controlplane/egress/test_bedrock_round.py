"""Requests of every chat surface, sent to a Bedrock that checks all of it, and its answers as clients get them."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from controlplane.egress.aws import StandardCredentials
from controlplane.egress.base import Posting, Question
from controlplane.egress.bedrock import Bedrock
from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.base import Usage, read_fields
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import Answer, Delta, Failure, Meta, Request, Translated, fold
from controlplane.protocols.responses import ResponsesSurface
from controlplane.tenants.model import Surface
from flockpy.errors import (
    BadRequest,
    EngineDied,
    EngineUnreachable,
    FlockError,
    LeaderRefused,
    Overloaded,
    UnknownModel,
)
from tests.simulators import bedrock
from tests.simulators.bedrock import REGION, Fault
from tests.unit.controlplane.protocols import messages_sdk, openai_client

CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-2-lite-v1:0"
SURFACES: dict[Surface, Translated] = {
    "messages": MessagesSurface(),
    "chat": TranslatedChat(),
    "responses": ResponsesSurface(),
}
META = Meta("9f", "m", 1760000000)
TOOL = "mcp__weather_service_of_the_whole_world__" + "current_weather_in_the_city"  # longer than is allowed
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
LOOK = "Let me look. 🔎"
COUNTED = Usage(18, 7, 5, cache_written_tokens=2)


@dataclass(frozen=True, slots=True)
class World:
    service: bedrock.Bedrock
    vendor: Bedrock
    http: httpx.AsyncClient

    async def whole(self, posting: Posting) -> list[Delta]:
        assert posting.reader
        answer = await self.http.post(posting.url, headers=[*posting.headers], content=posting.body)
        if answer.status_code >= 400:
            raise self.vendor.refusal(answer.status_code, answer.content, None)
        return posting.reader().whole(answer.content)

    async def streamed(self, posting: Posting) -> list[Delta]:
        assert posting.reader
        reader = posting.reader()
        deltas = [delta async for events in self.events(posting) for delta in reader.feed(events)]
        return deltas + reader.end()

    async def events(self, posting: Posting) -> AsyncIterator[bytes]:
        """The stream without its frames."""
        assert posting.unframe
        unframe = posting.unframe()
        sent = {"headers": [*posting.headers], "content": posting.body}
        async with self.http.stream("POST", posting.url, **sent) as answer:
            if answer.status_code >= 400:
                raise self.vendor.refusal(answer.status_code, await answer.aread(), None)
            async for data in answer.aiter_raw(100):
                yield unframe.feed(data)


@pytest.fixture
def service() -> Iterator[bedrock.Bedrock]:
    with bedrock.running() as running:
        yield running


@pytest.fixture
async def world(
    service: bedrock.Bedrock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[World]:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", service.state.account.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", service.state.account.secret)
    service.state.thought = "rain, rain"
    vendor = Bedrock(REGION, StandardCredentials(), base_url=service.url)
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        yield World(service, vendor, http)


def first_turn(surface: Surface) -> dict[str, Any]:
    """A client's question, with a tool that answers it."""
    asked = {"role": "user", "content": "Is it raining?"}
    if surface == "messages":
        return {
            "model": "m",
            "max_tokens": 99,
            "messages": [asked],
            "tools": [{"name": TOOL, "input_schema": SCHEMA}],
        }
    function = {"name": TOOL, "parameters": SCHEMA}
    if surface == "chat":
        return {"model": "m", "messages": [asked], "tools": [{"type": "function", "function": function}]}
    return {"model": "m", "input": [asked], "tools": [{"type": "function", **function}]}


def second_turn(surface: Surface, answer: Answer) -> dict[str, Any]:
    """The same with the call and its result."""
    body, (call,) = first_turn(surface), answer.calls
    if surface == "messages":
        use = {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "42 drops"}
        body["messages"] += [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    elif surface == "chat":
        function = {"name": call.name, "arguments": call.arguments}
        made = {"id": call.id, "type": "function", "function": function}
        body["messages"] += [{"role": "assistant", "content": None, "tool_calls": [made]}]
        body["messages"] += [{"role": "tool", "tool_call_id": call.id, "content": "42 drops"}]
    else:
        made = {"type": "function_call", "call_id": call.id, "name": TOOL, "arguments": call.arguments}
        result = {"type": "function_call_output", "call_id": call.id, "output": "42 drops"}
        body["input"] += [made, result]
    return body


async def posting(
    world: World, surface: Surface, model: str, body: dict[str, Any], *, stream: bool
) -> Posting:
    """What is posted for a client's body, in the manner that it reaches the model."""
    data = json.dumps(body | {"stream": stream}).encode()
    request = SURFACES[surface].request(data)
    if world.vendor.manner(surface, model) == "native":
        question = Question(surface, model, stream, data, read_fields(data), None, ())
    else:
        question = Question(surface, model, stream, b"", {}, request, ())
    return await world.vendor.posting(question)


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("surface", SURFACES)
async def test_a_loop_of_tools_goes_round_streamed_and_whole(world: World, surface: Surface, model: str):
    if model == CLAUDE:
        world.service.state.thought = ""
    asked = first_turn(surface)
    (tool,) = SURFACES[surface].request(json.dumps(asked).encode()).tools
    whole = fold(await world.whole(await posting(world, surface, model, asked, stream=False)))
    streamed = fold(await world.streamed(await posting(world, surface, model, asked, stream=True)))
    for answer in (whole, streamed):
        (call,) = answer.calls
        assert (call.name, json.loads(call.arguments)["city"]) == (tool.name, "Zürich")
        assert (answer.text, answer.reasoning) == (LOOK, world.service.state.thought)
        assert answer.usage == COUNTED
    again = second_turn(surface, streamed)
    last = fold(await world.streamed(await posting(world, surface, model, again, stream=True)))
    assert last.text == "The tool said: 42 drops"
    assert len(world.service.state.heard) == 3


async def told(world: World, surface: Surface, model: str) -> tuple[bytes, bytes]:
    """What a client gets, streamed and whole."""
    body, form = first_turn(surface), SURFACES[surface]
    request: Request = form.request(json.dumps(body).encode())
    encoder = form.encoder(request, META)
    deltas = await world.streamed(await posting(world, surface, model, body, stream=True))
    whole = await world.whole(await posting(world, surface, model, body, stream=False))
    return encoder.feed(deltas) + encoder.end(), form.render(request, fold(whole), META)


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_the_official_clients_make_the_same_of_the_stream_and_of_the_whole(world: World, model: str):
    reader = messages_sdk.Reader()
    stream, body = await told(world, "messages", model)
    message = messages_sdk.told(reader.whole(body))
    assert messages_sdk.told(reader.streamed(stream)) == message
    assert (message["stop_reason"], message["text"], message["thinking"]) == ("tool_use", LOOK, "rain, rain")
    stream, body = await told(world, "chat", model)
    snapshot = openai_client.told(openai_client.accumulated(stream))
    completion = openai_client.told(openai_client.completed(body))
    assert snapshot["calls"][0][2] == completion["calls"][0][2] == TOOL
    assert snapshot["content"] == completion["content"] == LOOK
    stream, body = await told(world, "responses", model)
    output = json.loads(body)["output"]
    assert [item["type"] for item in output][-2:] == ["message", "function_call"]
    done = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: {")]
    final = done[-1]["response"]["output"]
    assert [(item["type"], item.get("name")) for item in final] == [
        (i["type"], i.get("name")) for i in output
    ]


async def test_a_native_stream_is_the_protocols_own(world: World):
    posted = await posting(world, "messages", CLAUDE, first_turn("messages"), stream=True)
    stream = b"".join([events async for events in world.events(posted)])
    message = messages_sdk.Reader().streamed(stream)
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    assert {event["type"] for event in messages_sdk.events(stream)} >= {"message_start", "message_stop"}


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "kind", "error"),
    [
        (400, "ValidationException", BadRequest),
        (403, "AccessDeniedException", LeaderRefused),
        (404, "ResourceNotFoundException", UnknownModel),
        (424, "ModelErrorException", EngineDied),
        (429, "ThrottlingException", Overloaded),
        (500, "InternalServerException", EngineDied),
        (503, "ServiceUnavailableException", Overloaded),
    ],
)
async def test_an_error_answer_is_the_error_it_means(
    world: World, model: str, stream: bool, status: int, kind: str, error: type[FlockError]
):
    world.service.state.fault = Fault("status", status, kind)
    posted = await posting(world, "chat", model, first_turn("chat"), stream=stream)
    with pytest.raises(FlockError) as caught:
        await (world.streamed(posted) if stream else world.whole(posted))
    assert type(caught.value) is error


async def test_expired_credentials_are_nothing_the_client_could_mend(world: World):
    posted = await posting(world, "chat", NOVA, first_turn("chat"), stream=False)
    world.service.state.account = bedrock.Account(secret="another")
    with pytest.raises(EngineUnreachable) as caught:
        await world.whole(posted)
    assert "signature" not in caught.value.message


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("throttlingException", Overloaded),
        ("modelStreamErrorException", EngineDied),
        ("validationException", BadRequest),
    ],
)
async def test_an_exception_within_a_stream_ends_it_as_what_it_means(
    world: World, model: str, name: str, error: type[FlockError]
):
    world.service.state.fault = Fault("exception", error=name)
    *_, last = await world.streamed(await posting(world, "chat", model, first_turn("chat"), stream=True))
    assert isinstance(last, Failure)
    assert type(last.error) is error
    assert "scripted fault" in last.error.message


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_a_broken_frame_is_a_death(world: World, model: str):
    world.service.state.fault = Fault("corrupt")
    with pytest.raises(EngineDied, match="broken frame"):
        await world.streamed(await posting(world, "chat", model, first_turn("chat"), stream=True))


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_a_death_within_a_frame_leaves_what_was_said_and_no_end(world: World, model: str):
    world.service.state.fault = Fault("death", after=6)
    posted = await posting(world, "chat", model, first_turn("chat"), stream=True)
    assert posted.reader
    reader = posted.reader()
    deltas: list[Delta] = []
    with pytest.raises(httpx.RemoteProtocolError):
        async for events in world.events(posted):
            deltas += reader.feed(events)
    assert deltas
    (last,) = reader.end()
    assert isinstance(last, Failure)
    assert isinstance(last.error, EngineDied)


async def test_a_slow_first_word_is_waited_for(world: World):
    world.service.state.first_s = 0.3
    answer = fold(await world.streamed(await posting(world, "chat", NOVA, first_turn("chat"), stream=True)))
    assert answer.text == LOOK
