"""Whole answers out of streams."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.assembly import assemble


def stream(*chunks: dict[str, Any]) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
    events = [b"data: " + msgspec.json.encode({**head, **chunk}) + b"\n\n" for chunk in chunks]
    return b"".join(events) + b"data: [DONE]\n\n"


def delta(index: int = 0, finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def test_text_usage_and_timings_come_together():
    whole = assemble(
        "chat",
        stream(
            delta(role="assistant", content=None),
            delta(content="Hel"),
            delta(content="lo"),
            delta(finish="stop"),
            {"choices": [], "usage": {"completion_tokens": 2}, "timings": {"prompt_n": 1}},
        ),
    )
    message = {"role": "assistant", "content": "Hello"}
    assert msgspec.json.decode(whole) == {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"completion_tokens": 2},
        "timings": {"prompt_n": 1},
    }


def test_pieces_of_tool_calls_become_calls():
    begin = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}
    other = {"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}}
    whole = assemble(
        "chat",
        stream(
            delta(tool_calls=[begin]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}]),
            delta(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
            delta(tool_calls=[other]),
            delta(finish="tool_calls"),
        ),
    )
    message = msgspec.json.decode(whole)["choices"][0]["message"]
    assert message["content"] == ""
    assert [(call["id"], call["function"]) for call in message["tool_calls"]] == [
        ("c1", {"name": "f", "arguments": '{"a":1}'}),
        ("c2", {"name": "g", "arguments": "{}"}),
    ]


def test_choices_reasoning_and_logprobs_stay_apart():
    one = {"index": 1, "delta": {"content": "x"}, "logprobs": {"content": [{"token": "x"}]}}
    whole = assemble(
        "chat",
        stream({"choices": [one]}, delta(0, reasoning_content="hm"), delta(0, content="y")),
    )
    first, second = msgspec.json.decode(whole)["choices"]
    assert first["message"] == {"role": "assistant", "content": "y", "reasoning_content": "hm"}
    assert second["message"]["content"] == "x"
    assert second["logprobs"] == {"content": [{"token": "x"}]}
    assert "logprobs" not in first


def test_a_legacy_completion_has_text():
    chunks = [
        {"object": "text_completion", "choices": [{"text": text, "index": 0, "finish_reason": finish}]}
        for text, finish in (("a", None), ("b", None), ("", "length"))
    ]
    whole = msgspec.json.decode(assemble("completions", stream(*chunks)))
    assert whole["object"] == "text_completion"
    assert whole["choices"] == [{"text": "ab", "index": 0, "logprobs": None, "finish_reason": "length"}]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.text(max_size=8)), max_size=12),
    st.sampled_from(["content", "reasoning_content"]),
)
def test_however_a_text_is_cut_its_pieces_make_it_up(pieces: list[tuple[int, str]], field: str):
    whole = msgspec.json.decode(
        assemble("chat", stream(*(delta(index, **{field: text}) for index, text in pieces)))
    )
    said = {choice["index"]: choice["message"].get(field, "") for choice in whole["choices"]}
    assert said == {
        index: "".join(text for of, text in pieces if of == index) for index in sorted({i for i, _ in pieces})
    }


@pytest.mark.parametrize(
    "event",
    [
        b"data: {",
        b'data: {"choices":5}',
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}',
        b'data: {"choices":' + b"[" * 100_000,
        b'data: {"\xff":1}',
    ],
    ids=["cut short", "no list", "no UTF-8", "too deep", "a key that is no UTF-8"],
)
def test_nonsense_is_a_decode_error(event: bytes):
    with pytest.raises(msgspec.DecodeError):
        assemble("chat", event + b"\n\ndata: [DONE]\n\n")
