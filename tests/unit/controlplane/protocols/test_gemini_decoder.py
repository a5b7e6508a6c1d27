"""Streams and whole answers of Gemini, read into deltas wherever their bytes are cut."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.base import Usage
from controlplane.protocols.gemini_decoder import GeminiDecoder
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
from tests.unit.controlplane.protocols.deltas import answers, cuts, every_byte, in_two

WORDS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


def sse(*chunks: dict[str, Any], newline: bytes = b"\r\n") -> bytes:
    return b"".join(b"data: " + json.dumps(chunk).encode() + newline * 2 for chunk in chunks)


def said(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"role": "model", "parts": [*parts]}, **more}]}


def read(chunks: list[bytes]) -> list[Delta]:
    decoder = GeminiDecoder()
    return [delta for chunk in chunks for delta in decoder.feed(chunk)] + decoder.end()


def whole(body: Any) -> list[Delta]:
    return GeminiDecoder().whole(body if isinstance(body, bytes) else json.dumps(body, indent=2).encode())


def parts_of(deltas: list[Delta]) -> list[dict[str, Any]]:
    """What a vendor would say it with: a call is told at once, with all its arguments."""
    parts: list[dict[str, Any]] = []
    for delta in deltas:
        match delta:
            case Text(text):
                parts.append({"text": text})
            case Reasoning(text):
                parts.append({"text": text, "thought": True})
            case ToolStart(index, id, name):
                written = "".join(d.text for d in deltas if isinstance(d, ToolArgs) and d.index == index)
                call = {"name": name} | ({"id": id} if id else {})
                parts.append({"functionCall": call | ({"args": json.loads(written)} if written else {})})
            case _:
                pass
    return parts


def last_of(deltas: list[Delta]) -> tuple[dict[str, Any], dict[str, Any]]:
    counted = next(delta.usage for delta in deltas if isinstance(delta, Counted))
    stop = next(delta for delta in deltas if isinstance(delta, Stop))
    usage = {"promptTokenCount": counted.prompt_tokens, "cachedContentTokenCount": counted.cached_tokens}
    thoughts = counted.completion_tokens // 3
    wrote = {"candidatesTokenCount": counted.completion_tokens - thoughts, "thoughtsTokenCount": thoughts}
    return {"finishReason": WORDS[stop.reason]}, {"usageMetadata": usage | wrote}


def meaning(answer: Answer) -> Answer:
    """With arguments as values: their spaces and escapes are nobody's."""
    calls = tuple(
        msgspec.structs.replace(
            call, arguments=json.dumps(json.loads(call.arguments or "{}"), sort_keys=True)
        )
        for call in answer.calls
    )
    return msgspec.structs.replace(answer, calls=calls)


@given(answers(empty_calls=True), st.data())
def test_any_answer_is_read_the_same_streamed_or_whole_wherever_it_is_cut(
    deltas: list[Delta], data: st.DataObject
):
    finish, usage = last_of(deltas)
    parts = parts_of(deltas)
    streamed = sse(*(said(part) for part in parts), said({"text": ""}, **finish) | usage)
    expected = meaning(fold(deltas))
    assert meaning(fold(read(every_byte(streamed)))) == expected
    assert meaning(fold(read(data.draw(cuts(streamed))))) == expected
    assert fold(read([streamed])) == fold(whole(said(*parts, **finish) | usage))


VENDOR = sse(
    {"usageMetadata": {"trafficType": "ON_DEMAND"}, "modelVersion": "gemini-3-pro-preview"},
    said({"text": "hm", "thought": True}),
    said({"text": "Ωk 🎉"}, {"executableCode": {"code": "1"}}, {"inlineData": {"data": "AA=="}}),
    {"candidates": [{"index": 1, "content": {"parts": [{"text": "another candidate"}]}}]},
    said(
        {"functionCall": {"name": "ls", "args": {"p": [1, {"q": None}]}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "now"}},
        finishReason="FINISH_REASON_UNSPECIFIED",
    ),
    said({"text": "", "thoughtSignature": "bGFzdA=="}, finishReason="STOP")
    | {
        "usageMetadata": {
            "promptTokenCount": 12,
            "toolUsePromptTokenCount": 1,
            "candidatesTokenCount": 6,
            "thoughtsTokenCount": 3,
            "cachedContentTokenCount": 5,
            "totalTokenCount": 22,
        }
    },
)
DELTAS = [
    *(Reasoning("hm"), Text("Ωk 🎉")),
    *(Reasoning("", "gemini:c2ln"), ToolStart(0, "", "ls"), ToolArgs(0, '{"p":[1,{"q":null}]}')),
    *(ToolStart(1, "", "now"), ToolArgs(1, "{}")),
    *(Counted(Usage(13, 9, 5)), Stop("tool_calls")),
]


def test_a_vendors_stream_is_read_wherever_it_is_cut():
    assert read([VENDOR]) == read(every_byte(VENDOR)) == DELTAS
    assert read([VENDOR.replace(b"\r\n", b"\n")]) == DELTAS
    assert all(read(list(halves)) == DELTAS for halves in in_two(VENDOR))


@pytest.mark.parametrize(
    ("finish", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("MODEL_ARMOR", "content_filter"),
        ("OTHER", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_reasons_to_stop_are_understood(finish: str, reason: StopReason):
    assert read([sse(said(finishReason=finish))]) == [Stop(reason)]
    assert whole({"candidates": [{"finishReason": finish}]}) == [Stop(reason)]


def test_a_prompt_that_is_blocked_is_an_answer_that_says_nothing():
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7}}
    assert whole(blocked) == read([sse(blocked)]) == [Counted(Usage(7, 0)), Stop("content_filter")]


@pytest.mark.parametrize("finish", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
def test_what_the_model_wrote_as_no_answer_may_be_asked_again(finish: str):
    (failure,) = whole(said(finishReason=finish))
    assert isinstance(failure, Failure) and isinstance(failure.error, EngineDied)
    assert failure.error.message == f"the engine broke off with what is no answer: {finish}"


def test_a_stream_that_ends_before_its_end_is_a_failure():
    *_, last = read(
        [VENDOR[: VENDOR.index(b'{"candidates": [{"content": {"role": "model", "parts": [{"text": ""')]]
    )
    assert isinstance(last, Failure) and isinstance(last.error, EngineDied)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ({"code": 429, "message": "busy", "status": "RESOURCE_EXHAUSTED"}, Overloaded, "busy"),
        ({"code": 503, "message": "", "status": "UNAVAILABLE"}, Overloaded, "UNAVAILABLE"),
        ({"code": 400, "message": "wrong", "status": "INVALID_ARGUMENT"}, BadRequest, "wrong"),
        (
            {
                "code": 400,
                "message": "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            },
            ContextTooLong,
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
        ),
        ({"code": 500, "message": "oh"}, EngineDied, "the engine broke off and said: oh"),
        ({}, EngineDied, "the engine broke off with an error"),
    ],
)
def test_an_error_ends_an_answer_wherever_it_stands_and_however_it_is_put(
    error: dict[str, Any], kind: type[FlockError], message: str
):
    begun = sse(said({"text": "a"}))
    bare = json.dumps({"error": error}, indent=2).encode()
    listed = b"[" + bare + b"]\n"
    for deltas in (
        read([begun, sse({"error": error}, said(finishReason="STOP"))]),
        read(every_byte(begun + bare)),
        read(every_byte(begun + listed)),
        [Text("a"), *whole(listed)],
    ):
        text, failure = deltas
        assert text == Text("a") and isinstance(failure, Failure)
        assert type(failure.error) is kind and failure.error.message == message


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"{}", b'"a"', b'{"candidates":3}', b'{"a":"\xff"}', b"[" * 9999]
)
def test_what_is_no_answer_is_a_failure(body: bytes):
    (failure,) = whole(body)
    assert isinstance(failure, Failure) and isinstance(failure.error, EngineDied)
