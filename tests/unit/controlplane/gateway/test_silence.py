"""An engine that is silent for 400 s: what each client hears meanwhile keeps its own timer from running out."""

import asyncio
import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

import pytest

from controlplane.gateway.call import Call
from controlplane.gateway.plane import SURFACES
from controlplane.gateway.reply import Reply
from controlplane.protocols.base import Surface
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import Delta, Encoder, Meta, Reasoning, Stop, Text, ToolArgs, ToolStart
from controlplane.protocols.translated import Neutral, TranslatedSurface

SILENCE_S = 400
HI = [{"role": "user", "content": "hi"}]
BODIES: dict[bytes, Any] = {
    b"/v1/messages": {"max_tokens": 9, "messages": HI},
    b"/v1/responses": {"input": "hi"},
    b"/v1/chat/completions": {"messages": HI},
    b"/api/chat": {"messages": HI},
    b"/api/generate": {"prompt": "hi"},
}
BEFORE: dict[str, list[Delta]] = {
    "nothing": [],
    "reasoning": [Reasoning("Hm")],
    "text": [Text("Well")],
    "half of a call's arguments": [ToolStart(0, "a", "f"), ToolArgs(0, '{"x":')],
    "a whole call": [ToolStart(0, "a", "f"), ToolArgs(0, '{"x":1}')],
    "text behind half a call": [ToolStart(0, "a", "f"), ToolArgs(0, '{"x":'), Text("Well")],
}
REST: list[Delta] = [Text("done"), Stop("stop")]


class Connection:
    """In the place of `Asked`: what went out, and when."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.now = 0.0
        self.said: list[tuple[float, bytes]] = []
        self.began: float | None = None

    def begin(self, headers: bytes, data: bytes) -> "asyncio.Future[None] | None":
        assert self.began is None
        assert headers.startswith(b"content-type: ")
        self.began = self.now
        return self.write(data)

    def write(self, data: bytes) -> "asyncio.Future[None] | None":
        assert data, "an empty chunk would end the stream"
        self.said.append((self.now, data))

    def end(self, data: bytes = b"") -> None:
        self.said.append((self.now, data))


class Silence:
    """A stream of a surface to a silent engine: `before` at once, nothing for 400 s, then `rest`."""

    def __init__(self, surface: Surface, path: bytes, before: list[Delta], rest: list[Delta]) -> None:
        call = Call("req_1", surface, 1.0, 0.0)
        call.model, call.stream = "m", True
        self.connection = Connection(call)
        reply: Any = Reply(self.connection)  # type: ignore[arg-type]
        encoder: Encoder | None = None
        if isinstance(surface, TranslatedSurface):
            inbound = surface.parse(json.dumps({"model": "m", "stream": True, **BODIES[path]}).encode())
            assert isinstance(inbound, Neutral)
            encoder = inbound.told.encoder(inbound.request, Meta("1", "m", 1))
            reply.encoder = encoder
            if before and (out := encoder.feed(before)):
                reply.push(out, 0.0)
        for second in range(1, SILENCE_S + 1):
            self.connection.now = second
            reply.tick(float(second))
        if encoder is not None:
            reply.push(encoder.feed(rest) + encoder.end(), float(SILENCE_S))
            reply.end_stream()
        self.stream = b"".join(data for _, data in self.connection.said)

    def longest(self, resets: Callable[[bytes], bool]) -> float:
        """The longest time in which nothing came that resets the client's timer."""
        times = [0.0, *(at for at, data in self.connection.said if resets(data)), float(SILENCE_S)]
        return max(later - earlier for earlier, later in pairwise(times))


def silence(path: bytes, before: str = "nothing") -> Silence:
    return Silence(SURFACES[path], path, BEFORE[before], REST)


def events(data: bytes) -> list[dict[str, Any]]:
    """Server-sent events or lines that say something: comments do not count."""
    lines = (line.removeprefix(b"data: ") for line in data.split(b"\n"))
    return [json.loads(line) for line in lines if line.startswith(b"{")]


def names(data: bytes) -> list[str]:
    return [event["type"] for event in events(data)]


def all_of(found: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in found if event["type"] == kind]


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("before", BEFORE)
def test_no_client_waits_long_for_headers_or_for_any_event(path: bytes, before: str):
    """The shortest patience known is that of Qwen Code: 120 s for the headers."""
    silent = silence(path, before)
    began = silent.connection.began
    assert began is not None
    assert began <= 2
    assert silent.longest(lambda data: bool(events(data))) <= 10


def test_a_vendor_that_is_passed_on_as_it_is_leaves_no_connection_idle():
    call = Call("req_1", SURFACES[b"/v1/chat/completions"], 1.0, 0.0)
    call.model, call.stream = "m", True
    connection = Connection(call)
    reply = Reply(connection)  # type: ignore[arg-type]
    for second in range(1, 26):
        connection.now = second
        reply.breathe(float(second))
    assert connection.said == [(10, b": \n\n"), (20, b": \n\n")]
    reply.push(b"data: x\n\n", 25.0)
    reply.breathe(34.0)
    assert connection.said[2:] == [(25, b"data: x\n\n")]


@pytest.mark.parametrize("before", BEFORE)
def test_claude_code_hears_a_delta_every_ten_seconds_once_a_minute_of_silence_is_over(before: str):
    """It gives up after 300 s without one, whatever pings there are."""
    silent = silence(b"/v1/messages", before)
    assert names(silent.connection.said[0][1])[0] == "message_start"
    assert silent.longest(lambda data: "content_block_delta" in names(data)) <= 70
    pings = [at for at, data in silent.connection.said if "ping" in names(data)]
    assert pings
    assert max(pings) < 60
    late = [at for at, data in silent.connection.said if "content_block_delta" in names(data) and at >= 60]
    assert max(later - earlier for earlier, later in pairwise(late)) <= 10


@pytest.mark.parametrize("before", BEFORE)
def test_a_message_that_was_kept_alive_is_still_in_order(before: str):
    found = events(silence(b"/v1/messages", before).stream)
    assert len(all_of(found, "message_start")) == 1
    open_block: tuple[int, str] | None = None
    kinds = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}
    count = 0
    for event in found:
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                assert event["index"] == count
                count, open_block = count + 1, (event["index"], event["content_block"]["type"])
            case "content_block_delta":
                kind = kinds.get(event["delta"]["type"], "tool_use")
                assert open_block == (event["index"], kind)
            case "content_block_stop":
                assert open_block is not None
                assert event["index"] == open_block[0]
                open_block = None
            case _:
                continue
    assert found[-1]["type"] == "message_stop"
    deltas = [event["delta"] for event in all_of(found, "content_block_delta")]
    assert "".join(delta.get("text", "") for delta in deltas).endswith("done")


@pytest.mark.parametrize("before", BEFORE)
def test_codex_hears_that_its_response_is_in_progress(before: str):
    """It gives up after 300 s without an event; comments are none."""
    silent = silence(b"/v1/responses", before)
    found = events(silent.stream)
    assert silent.longest(lambda data: "response.in_progress" in names(data)) <= 10
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert names(silent.stream)[:2] == ["response.created", "response.in_progress"]
    last = found[-1]
    assert last["type"] == "response.completed"
    assert last["response"]["output"][-1]["content"][0]["text"].endswith("done")


@pytest.mark.parametrize("path", [b"/api/chat", b"/api/generate"])
def test_ollamas_clients_hear_a_line_without_a_text(path: bytes):
    lines = events(silence(path).stream)
    said = [line["message"]["content"] if path == b"/api/chat" else line["response"] for line in lines]
    assert len(said) > 40
    assert "".join(said) == "done"
    assert [line["done"] for line in lines].count(True) == 1


def test_clients_of_chat_hear_an_empty_delta():
    chunks = events(silence(b"/v1/chat/completions").stream)
    assert len(chunks) == 40  # at 2 s, and every 10 s from then on
    assert all(chunk["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}] for chunk in chunks)


def test_clients_of_chat_over_another_protocol_hear_the_same():
    surface = TranslatedSurface("chat", TranslatedChat())
    chunks = events(Silence(surface, b"/v1/chat/completions", [], REST).stream)
    empty = [chunk for chunk in chunks if chunk["choices"][0]["delta"] == {}]
    assert len(empty) >= 40
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
