"""The stream a client of chat/completions gets: its shape, event for event, and what is mended in it."""

from typing import Any

import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from controlplane.protocols.base import Usage
from controlplane.protocols.chat_surface import TranslatedChat
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
    fold,
)
from flockpy.errors import EngineDied, Overloaded
from tests.unit.controlplane.protocols.openai_client import accumulated, client_of, completed

SURFACE = TranslatedChat()
META = Meta("req_1", "asked", 1_760_000_000, 40)
ROLE = {"role": "assistant", "content": None}


def stream(*deltas: Delta, wants_usage: bool = False) -> bytes:
    encoder = SURFACE.encoder(Request("m", (), wants_usage=wants_usage), META)
    return encoder.feed(deltas) + encoder.end()


def whole(*deltas: Delta) -> ChatCompletion:
    return completed(SURFACE.render(Request("m", ()), fold(deltas), META))


def events(data: bytes) -> list[Any]:
    """The chunks; the end mark as it stands."""
    texts = [event.removeprefix(b"data: ") for event in data.split(b"\n\n")]
    assert texts.pop() == b""
    return [text.decode() if text == b"[DONE]" else msgspec.json.decode(text) for text in texts]


def deltas_of(data: bytes) -> list[Any]:
    """What the chunks add, and why it ended."""
    choices = [event["choices"][0] for event in events(data) if event != "[DONE]" and event["choices"]]
    return [choice["finish_reason"] or choice["delta"] for choice in choices]


def test_each_chunk_is_one_of_the_protocols():
    *chunks, done = events(
        stream(Reasoning("hm"), Text("a"), Stop("stop"), Counted(Usage(1, 2)), wants_usage=True)
    )
    assert done == "[DONE]"
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
        assert (chunk["id"], chunk["model"], chunk["created"]) == ("chatcmpl-req_1", "asked", 1_760_000_000)


def test_the_role_comes_first_and_once():
    assert deltas_of(stream(Text("a"), Text("b"), Stop("stop"))) == [
        *(ROLE, {"content": "a"}, {"content": "b"}, "stop"),
    ]


def test_a_call_begins_with_all_that_is_known_of_it_and_goes_on_with_arguments_alone():
    sent = deltas_of(
        stream(ToolStart(0, "c1", "f"), ToolArgs(0, '{"a":'), ToolArgs(0, "1}"), Stop("tool_calls"))
    )
    first = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    assert sent == [
        ROLE,
        {"tool_calls": [first]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
        "tool_calls",
    ]


def test_ids_that_are_missing_or_there_twice_are_made_up():
    said = [
        *(ToolStart(0, "", "f"), ToolArgs(0, "{}")),
        *(ToolStart(1, "c", "f"), ToolArgs(1, "{}")),
        *(ToolStart(2, "c", "f"), ToolArgs(2, "{}")),
        Stop("tool_calls"),
    ]
    for made in (accumulated(stream(*said)), whole(*said)):
        ids = [call.id for call in made.choices[0].message.tool_calls or []]
        assert ids == ["call_req_1_0", "c", "call_req_1_2"]


def test_a_call_without_arguments_has_none_rather_than_what_is_no_json():
    said = ToolStart(0, "c", "f"), ToolStart(1, "d", "g"), ToolArgs(1, '{"a":1}'), Stop("tool_calls")
    for made in (accumulated(stream(*said)), whole(*said)):
        calls = [call for call in made.choices[0].message.tool_calls or [] if call.type == "function"]
        assert [call.function.arguments for call in calls] == ["{}", '{"a":1}']


@pytest.mark.parametrize("deltas", [(Stop("stop"),), (Reasoning("hm"), Stop("length"))])
def test_an_answer_of_no_words_is_an_empty_text(deltas: tuple[Delta, ...]):
    assert accumulated(stream(*deltas)).choices[0].message.content == ""
    assert whole(*deltas).choices[0].message.content == ""


def test_a_reason_is_always_given():
    assert deltas_of(stream(Text("a")))[-1] == "stop"
    assert deltas_of(stream(ToolStart(0, "c", "f"), ToolArgs(0, "{}")))[-1] == "tool_calls"
    assert deltas_of(stream())[-1] == "stop"
    assert deltas_of(stream(Stop("stop_sequence", "###")))[-1] == "stop"
    assert whole(Text("a")).choices[0].finish_reason == "stop"


def test_usage_comes_last_and_only_when_it_was_asked_for():
    said = Text("a"), Counted(Usage(9, 1)), Stop("stop"), Counted(Usage(9, 5, 4))
    *_, usage, done = events(stream(*said, wants_usage=True))
    assert (usage["choices"], done) == ([], "[DONE]")
    assert usage["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 5,
        "total_tokens": 14,
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    assert b"usage" not in stream(*said)
    assert b"usage" not in stream(Text("a"), Stop("stop"), wants_usage=True)


def test_a_failure_is_the_end():
    data = stream(Text("a"), Failure(EngineDied("the engine broke off")))
    assert events(data)[-1]["error"]["code"] == "engine_died"
    with pytest.raises(openai.APIError, match="broke off"):
        accumulated(data)


def test_a_keep_alive_says_nothing_wherever_it_stands():
    encoder = SURFACE.encoder(Request("m", ()), META)
    quiet = encoder.keep_alive(10)
    data = (
        quiet
        + encoder.feed([Text("a")])
        + encoder.keep_alive(10)
        + encoder.feed([Stop("stop")])
        + encoder.end()
    )
    assert events(quiet)[0]["choices"] == [{"index": 0, "delta": {}, "finish_reason": None}]
    assert accumulated(data).choices[0].message.content == "a"


def test_progress_is_not_for_clients():
    assert SURFACE.encoder(Request("m", ()), META).feed([Progress(1, 2)]) == b""


def test_errors_are_the_protocols_own():
    error = Overloaded("the queue is full", retry_after=3)
    with pytest.raises(openai.InternalServerError, match="the queue is full"):
        client_of(SURFACE.error(error), SURFACE.status(error)).chat.completions.create(model="m", messages=[])
