"""Streams and whole answers of Bedrock's Converse, read into deltas wherever their bytes are cut."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.base import Usage
from controlplane.protocols.converse_decoder import ConverseDecoder
from controlplane.protocols.ir import (
    Answer,
    Counted,
    Delta,
    Failure,
    Reasoning,
    Stop,
    StopReason,
    Text,
    ToolArgs,
    ToolStart,
    fold,
)
from flockpy.errors import BadRequest, ContextTooLong, EngineDied, FlockError, Overloaded
from tests.unit.controlplane.protocols.converse_wire import converse_sse, converse_whole, sse
from tests.unit.controlplane.protocols.deltas import answers, cuts, every_byte, in_two, joined


def read(chunks: list[bytes], names: dict[str, str] | None = None) -> list[Delta]:
    decoder = ConverseDecoder(names)
    return [delta for chunk in chunks for delta in decoder.feed(chunk)] + decoder.end()


def parsed(answer: Answer) -> Answer:
    """An answer with arguments as they mean, not as they are written."""
    calls = tuple(
        msgspec.structs.replace(call, arguments=json.dumps(json.loads(call.arguments or "{}")))
        for call in answer.calls
    )
    return msgspec.structs.replace(answer, calls=calls)


@given(answers(signed=True, sequences=True, empty_calls=True), st.data())
def test_any_answer_is_read_the_same_streamed_and_whole_wherever_it_is_cut(
    deltas: list[Delta], data: st.DataObject
):
    written = converse_sse(deltas)
    streamed = read(every_byte(written))
    unsigned = msgspec.structs.replace(fold(deltas), signature="")
    assert parsed(fold(streamed)) == parsed(unsigned)
    assert joined(read(data.draw(cuts(written)))) == joined(streamed)
    assert parsed(fold(ConverseDecoder().whole(converse_whole(deltas)))) == parsed(fold(streamed))


STREAM = sse(
    ("messageStart", {"role": "assistant", "p": "abc"}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "hm"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"signature": "c2ln"}}}),
    ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"redactedContent": "eA"}}}),
    ("contentBlockStop", {"contentBlockIndex": 0}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "Ωk 🎉"}}),
    ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"citation": {"title": "t"}}}),
    (
        "contentBlockStart",
        {"contentBlockIndex": 2, "start": {"toolUse": {"toolUseId": "a", "name": "short"}}},
    ),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": ""}}}),
    ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"toolUse": {"input": '{"p":1}'}}}),
    ("contentBlockStop", {"contentBlockIndex": 2}),
    (
        "contentBlockStart",
        {
            "contentBlockIndex": 3,
            "start": {"toolUse": {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}},
        },
    ),
    ("contentBlockDelta", {"contentBlockIndex": 3, "delta": {"toolUse": {"input": '{"q":1}'}}}),
    ("contentBlockStart", {"contentBlockIndex": 4, "start": {"toolUse": {"toolUseId": "b", "name": "now"}}}),
    ("someLaterEvent", {"message": "of no concern"}),
    ("messageStop", {"stopReason": "tool_use"}),
    (
        "metadata",
        {
            "usage": {
                "inputTokens": 3,
                "outputTokens": 4,
                "cacheReadInputTokens": 5,
                "cacheWriteInputTokens": 6,
            }
        },
    ),
)
DELTAS = [
    *(Reasoning("hm"), Text("Ωk 🎉")),
    *(ToolStart(0, "a", "the.long.name"), ToolArgs(0, '{"p":1}')),
    *(ToolStart(1, "b", "now"), ToolArgs(1, "{}")),
    *(Stop("tool_calls"), Counted(Usage(14, 4, 5, cache_written_tokens=6))),
]


def test_everything_a_stream_may_hold_is_read_cut_at_every_byte():
    names = {"short": "the.long.name"}
    assert read([STREAM], names) == DELTAS
    for cut in in_two(STREAM):
        assert read(list(cut), names) == DELTAS


def test_a_whole_answer_with_citations_and_calls_without_arguments_is_read():
    content: list[dict[str, Any]] = [
        {"reasoningContent": {"redactedContent": "eA"}},
        {"citationsContent": {"content": [{"text": "cited"}], "citations": []}},
        {"toolUse": {"toolUseId": "a", "name": "ls", "input": {}}},
    ]
    body = {"output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use"}
    answer = fold(ConverseDecoder().whole(json.dumps(body).encode()))
    assert (answer.text, [call.arguments for call in answer.calls]) == ("cited", ["{}"])


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("stop_sequence", "stop_sequence"),
        ("something new", "stop"),
    ],
)
def test_every_reason_to_stop_has_its_name(said: str, reason: StopReason):
    assert read([sse(("messageStop", {"stopReason": said}))]) == [Stop(reason)]


@pytest.mark.parametrize(
    ("name", "message", "error"),
    [
        ("throttlingException", "Too many tokens", Overloaded),
        ("serviceUnavailableException", "later", Overloaded),
        ("validationException", "Input is too long for requested model.", ContextTooLong),
        ("validationException", "bad", BadRequest),
        ("modelStreamErrorException", "broken", EngineDied),
        ("internalServerException", "", EngineDied),
        ("someLaterException", "?", EngineDied),
    ],
)
def test_an_exception_within_a_stream_is_the_error_it_means(name: str, message: str, error: type[FlockError]):
    said = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "a"}})
    deltas = read([sse(said, (name, {"message": message}), said)])
    assert deltas[0] == Text("a")
    assert len(deltas) == 2
    assert isinstance(deltas[1], Failure)
    assert type(deltas[1].error) is error
    assert message in deltas[1].error.message


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        sse(("messageStart", {"role": "assistant"})),
        b"data: {no json\n\n",
        b'data: {"contentBlockDelta": {"delta": 3}}\n\n',
        b'data: {"contentBlockDelta": {"delta": {"toolUse": {"input": {}}}}}\n\n',
        sse(("messageStop", {"stopReason": "malformed_tool_use"})),
    ],
)
def test_a_stream_that_is_none_or_breaks_off_ends_with_a_failure(stream: bytes):
    (failure,) = read([stream])
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, EngineDied)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"output": {}}', b'{"output": {"message": {"content": 1}}}']
)
def test_a_body_that_is_no_answer_is_a_failure(body: bytes):
    (failure,) = ConverseDecoder().whole(body)
    assert isinstance(failure, Failure)
    assert isinstance(failure.error, EngineDied)
