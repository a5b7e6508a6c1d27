"""Streams and whole answers of the Messages protocol, read into deltas wherever their bytes are cut."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.anthropic_answer import input_of
from controlplane.protocols.anthropic_decoder import MessagesDecoder
from controlplane.protocols.base import Usage
from controlplane.protocols.ir import (
    Answer,
    Counted,
    Delta,
    Failure,
    Meta,
    Reasoning,
    Request,
    Stop,
    Text,
    ToolArgs,
    ToolStart,
    fold,
)
from flockpy.errors import BadRequest, ContextTooLong, EngineDied, FlockError, Overloaded
from tests.unit.controlplane.protocols.deltas import answers, cuts, every_byte, in_two, joined

SURFACE = MessagesSurface()
REQUEST, META = Request("m", ()), Meta("9f", "m", 1760000000, prompt_tokens=7)


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def read(chunks: list[bytes]) -> list[Delta]:
    decoder = MessagesDecoder()
    return [delta for chunk in chunks for delta in decoder.feed(chunk)] + decoder.end()


def sent(answer: Answer) -> Answer:
    """An answer with what our own side puts in place of arguments that are no object."""
    calls = tuple(msgspec.structs.replace(call, arguments=input_of(call.arguments)) for call in answer.calls)
    return msgspec.structs.replace(answer, calls=calls)


@given(answers(signed=True, sequences=True, empty_calls=True), st.data())
def test_what_our_own_side_writes_is_read_back_the_same(deltas: list[Delta], data: st.DataObject):
    encoder = SURFACE.encoder(REQUEST, META)
    written = encoder.keep_alive(60) + encoder.feed(deltas) + encoder.end()
    expected = sent(fold(deltas))
    assert fold(read(every_byte(written))) == expected
    assert fold(read(data.draw(cuts(written)))) == expected
    assert fold(MessagesDecoder().whole(SURFACE.render(REQUEST, fold(deltas), META))) == expected


USAGE = {
    "input_tokens": 3,
    "cache_creation_input_tokens": 4,
    "cache_read_input_tokens": 5,
    "output_tokens": 1,
}
VENDOR = sse(
    {"type": "message_start", "message": {"id": "msg_1", "type": "message", "content": [], "usage": USAGE}},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "redacted_thinking", "data": "ZGF0YQ"},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "text", "text": "", "citations": []},
    },
    {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "Ωk 🎉"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "citations_delta", "citation": {"a": 1}}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 3,
        "delta": {"type": "input_json_delta", "partial_json": '{"q":1}'},
    },
    {"type": "content_block_stop", "index": 3},
    {
        "type": "content_block_start",
        "index": 4,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "ls", "input": {}},
    },
    {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": ""}},
    {
        "type": "content_block_delta",
        "index": 4,
        "delta": {"type": "input_json_delta", "partial_json": '{"p"'},
    },
    {"type": "content_block_delta", "index": 4, "delta": {"type": "input_json_delta", "partial_json": ":1}"}},
    {"type": "content_block_stop", "index": 4},
    # as llama.cpp has it: no input, and no count but that of the answer
    {
        "type": "content_block_start",
        "index": 5,
        "content_block": {"type": "tool_use", "id": "b", "name": "now"},
    },
    {"type": "content_block_stop", "index": 5},
    {
        "type": "content_block_start",
        "index": 6,
        "content_block": {"type": "tool_use", "id": "c", "name": "cat", "input": {"f": [1]}},
    },
    {"type": "content_block_stop", "index": 6},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
)
DELTAS = [
    Counted(Usage(12, 1, 5, cache_written_tokens=4)),
    *(Reasoning("hm"), Reasoning("", "c2ln"), Text("Ωk 🎉")),
    *(ToolStart(0, "toolu_1", "ls"), ToolArgs(0, '{"p"'), ToolArgs(0, ":1}")),
    *(ToolStart(1, "b", "now"), ToolArgs(1, "{}")),
    *(ToolStart(2, "c", "cat"), ToolArgs(2, '{"f": [1]}')),
    *(Counted(Usage(12, 9, 5, cache_written_tokens=4)), Stop("tool_calls")),
]


def test_a_vendors_stream_is_read_wherever_it_is_cut():
    assert read([VENDOR]) == read(every_byte(VENDOR)) == DELTAS
    assert read([VENDOR.replace(b"\n", b"\r\n")]) == DELTAS
    assert all(read(list(halves)) == DELTAS for halves in in_two(VENDOR))


def test_a_whole_answer_of_a_vendor_is_read():
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "t", "name": "ls", "input": {"p": 1}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"type": "web_search_result"}]},
    ]
    body = {
        "type": "message",
        "content": content,
        "stop_reason": "stop_sequence",
        "stop_sequence": "X",
        "usage": USAGE,
    }
    assert joined(MessagesDecoder().whole(json.dumps(body).encode())) == [
        *(Reasoning("hm", "c2ln"), Text("a"), ToolStart(0, "t", "ls"), ToolArgs(0, '{"p": 1}')),
        *(Counted(Usage(12, 1, 5, cache_written_tokens=4)), Stop("stop_sequence", "X")),
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something new", "stop"),
    ],
)
def test_reasons_to_stop_are_understood(said: str, reason: str):
    (stop,) = read([sse({"type": "message_delta", "delta": {"stop_reason": said}}, {"type": "message_stop"})])
    assert isinstance(stop, Stop) and stop.reason == reason


def test_a_stream_that_ends_before_its_end_is_a_failure():
    at = VENDOR.index(b"event: message_delta")
    *_, last = read([VENDOR[:at]])
    assert isinstance(last, Failure) and isinstance(last.error, EngineDied)
    assert not any(
        isinstance(delta, Failure) for delta in read([VENDOR[: VENDOR.index(b"event: message_stop")]])
    )


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ({"type": "overloaded_error", "message": "busy"}, Overloaded, "busy"),
        ({"type": "rate_limit_error", "message": "busy"}, Overloaded, "busy"),
        ({"type": "invalid_request_error", "message": "wrong"}, BadRequest, "wrong"),
        (
            {"type": "api_error", "message": "at /home/me/model.gguf"},
            EngineDied,
            "the engine broke off and said: at model.gguf",
        ),
    ],
)
def test_an_error_ends_an_answer_wherever_it_stands(
    error: dict[str, str], kind: type[FlockError], message: str
):
    event = {"type": "error", "error": error}
    for deltas in (
        read([sse(event, {"type": "message_stop"})]),
        MessagesDecoder().whole(json.dumps(event).encode()),
    ):
        (failure,) = deltas
        assert isinstance(failure, Failure)
        assert type(failure.error) is kind and failure.error.message == message


def test_a_prompt_that_is_too_long_keeps_its_numbers():
    error = {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}
    (failure,) = MessagesDecoder().whole(json.dumps({"type": "error", "error": error}).encode())
    assert isinstance(failure, Failure) and isinstance(failure.error, ContextTooLong)
    assert (failure.error.tokens, failure.error.maximum) == (210000, 200000)
    assert json.loads(SURFACE.error(failure.error))["error"] == error


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[1]", b"{}", b'{"error":{"message":"x"}}', b'{"a":"\xff"}']
)
def test_what_is_no_answer_is_a_failure(body: bytes):
    (failure,) = MessagesDecoder().whole(body)
    assert isinstance(failure, Failure) and isinstance(failure.error, EngineDied)
