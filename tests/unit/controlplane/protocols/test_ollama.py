"""Ollama's own Python client reads every line of a stream, and makes the same message of it as of a whole answer."""

import json
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import ollama
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.base import Usage
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Meta,
    Progress,
    Reasoning,
    Request,
    Stop,
    Text,
    ToolArgs,
    ToolStart,
    Translated,
    fold,
)
from controlplane.protocols.ollama import RAW, OllamaChatSurface, OllamaGenerateSurface
from flockpy.errors import EngineDied, FlockError, Overloaded, QuotaSpent, UnknownModel
from tests.unit.controlplane.protocols.deltas import answers, cuts

CHAT: Translated = OllamaChatSurface()
GENERATE: Translated = OllamaGenerateSurface()
META = Meta("01J", "tiny:latest", 1_760_000_000, prompt_tokens=7)
ASKED = Request("tiny:latest", ())
LONG_AGO = "2025-10-09T08:53:20.000000000Z"


def streamed(surface: Translated, deltas: Iterable[Delta]) -> bytes:
    encoder = surface.encoder(ASKED, META)
    lines = [encoder.feed([delta]) + encoder.keep_alive(10) for delta in deltas]
    return b"".join(lines) + encoder.end()


def client(body: bytes, status: int = 200, pieces: Iterable[bytes] | None = None) -> ollama.Client:
    """The official client, as a leader that answers `body` would be seen by it."""

    def answer(request: httpx.Request) -> httpx.Response:
        content = iter(pieces) if pieces is not None else body
        return httpx.Response(status, content=content, headers={"content-type": "application/x-ndjson"})

    return ollama.Client(host="http://leader", transport=httpx.MockTransport(answer))


def whole_chat(parts: Iterable[ollama.ChatResponse]) -> tuple[dict[str, Any], ollama.ChatResponse]:
    """What a user of the client makes of a stream: texts joined, calls in order; and its last part."""
    content, thinking, calls, last = "", "", list[Any](), None
    for part in parts:
        content += part.message.content or ""
        thinking += part.message.thinking or ""
        calls += part.message.tool_calls or ()
        last = part
    assert last is not None
    return {"content": content, "thinking": thinking, "calls": [call.function for call in calls]}, last


@given(st.data())
def test_a_chat_stream_says_the_same_as_the_whole_answer(data: st.DataObject) -> None:
    deltas = data.draw(answers(empty_calls=True, sequences=True, ids=data.draw(st.booleans())))
    stream, rendered = streamed(CHAT, deltas), CHAT.render(ASKED, fold(deltas), META)
    pieces = data.draw(cuts(stream))
    said, last = whole_chat(client(b"", pieces=pieces).chat("tiny", [], stream=True))
    whole, end = whole_chat([client(rendered).chat("tiny", [])])
    assert said == whole
    assert last.model_dump(exclude={"message"}) == end.model_dump(exclude={"message"})
    assert last.done
    assert last.done_reason in ("stop", "length", "content_filter")


@given(answers(kinds=("reasoning", "text")))
def test_a_generate_stream_says_the_same_as_the_whole_answer(deltas: list[Delta]) -> None:
    parts = list(client(streamed(GENERATE, deltas)).generate("tiny", "x", stream=True))
    whole = client(GENERATE.render(ASKED, fold(deltas), META)).generate("tiny", "x")
    assert "".join(part.response or "" for part in parts) == whole.response == fold(deltas).text
    assert "".join(part.thinking or "" for part in parts) == (whole.thinking or "") == fold(deltas).reasoning
    told = parts[-1].model_dump(exclude={"response", "thinking"})
    assert told == whole.model_dump(exclude={"response", "thinking"})
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


@given(answers(), st.sampled_from([CHAT, GENERATE]))
def test_every_line_is_one_json_object_for_those_who_split_at_any_line_end(
    deltas: list[Delta], surface: Translated
) -> None:
    lines = streamed(surface, deltas).decode().splitlines()
    for line in lines:
        assert isinstance(json.loads(line), dict)
        assert json.loads(line)["created_at"] == LONG_AGO
    assert [json.loads(line)["done"] for line in lines] == [False] * (len(lines) - 1) + [True]


def lines_of(data: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in data.splitlines()]


def calling(*arguments: str) -> list[Delta]:
    return [ToolStart(0, "", "look"), *(ToolArgs(0, text) for text in arguments), Stop("tool_calls")]


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ('{"city": "Paris"}', {"city": "Paris"}),
        ('{\n  "a": [1.5, null]\n}', {"a": [1.5, None]}),
        ("", {}),
        (" \n", {}),
        ("null", {}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"city": "Par', {RAW: '{"city": "Par'}),
        ('["Paris"]', {RAW: '["Paris"]'}),
        ('"Paris"', {RAW: '"Paris"'}),
        ("[" * 5000, {RAW: "[" * 5000}),
        ('{"a": 1e999}', {RAW: '{"a": 1e999}'}),
    ],
    ids=lambda value: str(value)[:20],
)
def test_arguments_are_an_object_whatever_the_model_wrote(written: str, given: dict[str, Any]) -> None:
    deltas = calling(written[:3], written[3:])
    [line] = [part for part in lines_of(streamed(CHAT, deltas)) if "tool_calls" in part.get("message", {})]
    called = {"index": 0, "name": "look", "arguments": given}
    assert line["message"]["tool_calls"] == [{"id": "call_01J_0", "function": called}]
    whole = msgspec.json.decode(CHAT.render(ASKED, fold(deltas), META))
    assert whole["message"]["tool_calls"] == line["message"]["tool_calls"]
    assert whole["done_reason"] == "stop"


def test_a_call_comes_in_one_line_when_its_arguments_are_complete() -> None:
    encoder = CHAT.encoder(ASKED, META)
    assert encoder.feed(calling('{"a', '": 1}')[:-1]) == b""
    assert encoder.feed([Stop("tool_calls")]).count(b"\n") == 1


def test_a_stream_without_end_mark_and_usage_still_ends() -> None:
    last = lines_of(streamed(CHAT, [Text("hi"), ToolStart(0, "x", "look")]))[-1]
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert (last["prompt_eval_count"], last["eval_count"], last["total_duration"]) == (7, 0, 0)


def test_durations_are_the_engines_own_in_nanoseconds() -> None:
    counted = Counted(Usage(12, 13, prompt_ms=0.828, completion_ms=1.731))
    last = client(streamed(CHAT, [Text("a"), Stop("stop"), counted])).chat("tiny", [], stream=True)
    *_, end = last
    assert (end.prompt_eval_duration, end.eval_duration, end.total_duration) == (
        828_000,
        1_731_000,
        2_559_000,
    )


def test_the_usage_that_counts_is_the_last_one() -> None:
    deltas = [Progress(3, 9), Counted(Usage(9, 1)), Text("a"), Counted(Usage(9, 2)), Stop("length")]
    last = lines_of(streamed(GENERATE, deltas))[-1]
    assert (last["prompt_eval_count"], last["eval_count"], last["done_reason"]) == (9, 2, "length")


@pytest.mark.parametrize("surface", [CHAT, GENERATE])
def test_a_stream_that_cannot_go_on_ends_with_the_error(surface: Translated) -> None:
    failed = Failure(EngineDied("the engine died", hint="ask again"))
    encoder = surface.encoder(ASKED, META)
    stream = encoder.feed([Text("so"), Reasoning("hm"), failed]) + encoder.end()
    parts = client(stream).chat("tiny", [], stream=True)
    if surface is GENERATE:
        parts = client(stream).generate("tiny", "x", stream=True)
    with pytest.raises(ollama.ResponseError, match=r"the engine died\. ask again"):
        list(parts)
    assert stream.count(b"\n") == 3


@pytest.mark.parametrize(
    "error",
    [
        UnknownModel("there is no model 'x'"),
        Overloaded("busy", retry_after=3),
        QuotaSpent("spent"),
    ],
)
@pytest.mark.parametrize("surface", [CHAT, GENERATE])
def test_the_client_tells_its_user_what_is_wrong(surface: Translated, error: FlockError) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        client(surface.error(error), surface.status(error)).chat("x", [])
    assert (refused.value.error, refused.value.status_code) == (error.message, error.status)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model":"m"}', "load"),
        (b'{"model":"m","keep_alive":"10m"}', "load"),
        (b'{"model":"m","keep_alive":-1}', "load"),
        (b'{"model":"m","keep_alive":0}', "unload"),
        (b'{"model":"m","keep_alive":"0"}', "unload"),
        (b'{"model":"m","keep_alive":"0s"}', "unload"),
    ],
)
def test_a_request_without_a_prompt_is_answered_at_once(body: bytes, reason: str) -> None:
    for surface in (OllamaChatSurface(), OllamaGenerateSurface()):
        assert surface.request(body).messages == ()
    chat = client(OllamaChatSurface().idle(body, META)).chat("m", [])
    assert (chat.done, chat.done_reason, chat.message.content) == (True, reason, "")
    [part] = client(OllamaGenerateSurface().idle(body, META)).generate("m", stream=True)
    assert (part.done, part.done_reason, part.response) == (True, reason, "")
