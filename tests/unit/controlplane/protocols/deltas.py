"""Any legal answer as deltas, bytes cut anywhere, and an answer as the chat stream an engine would send."""

import json
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, Literal, get_args

import msgspec
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from controlplane.protocols.base import Usage
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Progress,
    Reasoning,
    Stop,
    StopReason,
    Text,
    ToolArgs,
    ToolStart,
)

Kind = Literal["reasoning", "text", "tools"]

_EMOJI = ("👩‍👩‍👧‍👦", "🇩🇪🎉", "e\u0301", "שלום")
_ODD = (*_EMOJI, "\u2028", "\x85", "\r\n", "\x00", "\ufeff", '\\"', "data: [DONE]\n\n", "</p>&lt;", " ")
_CHARACTERS = st.characters(exclude_categories=("Cs",))

pieces: SearchStrategy[str] = st.one_of(st.text(_CHARACTERS, min_size=1, max_size=6), st.sampled_from(_ODD))
"""One piece of a text: never empty, with all that JSON, UTF-8 and SSE can stumble over."""

_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), pieces),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(pieces, inner, max_size=2)),
    max_leaves=4,
)


@st.composite
def arguments(draw: DrawFn) -> str:
    """The JSON text of a tool call's arguments: always an object, written as models write it."""
    value = draw(st.dictionaries(pieces, _json, max_size=3))
    ascii_only, indent = draw(st.booleans()), draw(st.sampled_from((None, None, 2)))
    return json.dumps(value, ensure_ascii=ascii_only, indent=indent)


@st.composite
def texts_of(draw: DrawFn, whole: str) -> list[str]:
    """`whole` in pieces, none of them empty."""
    places = draw(st.lists(st.integers(1, max(len(whole) - 1, 1)), max_size=4, unique=True))
    ends = [0, *sorted(place for place in places if place < len(whole)), len(whole)]
    return [whole[a:b] for a, b in pairwise(ends) if a < b]


@st.composite
def _calls(draw: DrawFn, first: int, empty: bool, ids: bool) -> list[Delta]:
    """Up to three parallel calls, their arguments interleaved; `first` is the index of the first of them."""
    waiting: list[list[Delta]] = []
    for index in range(first, first + draw(st.integers(1, 3))):
        name = draw(st.sampled_from(("get_weather", "Bash", "mcp__files__read", "a")))
        call: list[Delta] = [ToolStart(index, f"call_{draw(st.integers(0, 9))}{index}" if ids else "", name)]
        if not (empty and draw(st.booleans())):
            call += [ToolArgs(index, text) for text in draw(texts_of(draw(arguments())))]
        waiting.append(call)
    merged: list[Delta] = []
    started = 0
    while left := [place for place, call in enumerate(waiting) if call and place <= started]:
        place = draw(st.sampled_from(left))
        started = max(started, place + 1)
        merged.append(waiting[place].pop(0))
    return merged


@st.composite
def answers(
    draw: DrawFn,
    *,
    kinds: tuple[Kind, ...] = get_args(Kind),
    blocks: int = 5,
    signed: bool = False,
    sequences: bool = False,
    empty_calls: bool = False,
    ids: bool = True,
) -> list[Delta]:
    """Any legal stream of a complete answer: (reasoning, text, tools)*, then `Stop` and `Counted` in either order.

    `kinds` of at most so many `blocks` occur in any order, also twice in a row, which then is one block with more
    pieces; parallel calls interleave. `signed`: a block of reasoning may end with a signature. `sequences`: it may have
    met a stop sequence. `empty_calls`: a call may have no `ToolArgs`. `ids`: false when the engine gives calls none.
    """
    made: list[Delta] = []
    calls = 0
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=blocks)):
        if kind == "tools":
            some = draw(_calls(calls, empty_calls, ids))
            calls += sum(isinstance(delta, ToolStart) for delta in some)
            made += some
        elif kind == "text":
            made += [Text(piece) for piece in draw(st.lists(pieces, min_size=1, max_size=3))]
        else:
            thoughts = [Reasoning(piece) for piece in draw(st.lists(pieces, min_size=1, max_size=3))]
            if signed and draw(st.booleans()):
                thoughts.append(Reasoning("", "c2lnbmVk"))
            made += thoughts
    reasons: list[StopReason] = ["tool_calls" if calls else "stop", "length"]
    if not calls:
        reasons.append("content_filter")
        if sequences:
            reasons.append("stop_sequence")
    reason = draw(st.sampled_from(reasons))
    prompt, cached = draw(st.integers(1, 9000)), draw(st.integers(0, 1))
    counted = Counted(Usage(prompt, draw(st.integers(0, 9000)), cached * (prompt // 2)))
    stop = Stop(reason, "###" if reason == "stop_sequence" else "")
    return [*made, *draw(st.permutations([stop, counted]))]


def cuts(data: bytes, most: int = 8) -> SearchStrategy[list[bytes]]:
    """`data` cut into at most so many + 1 pieces, anywhere: also within a character, also empty pieces."""
    places = st.lists(st.integers(0, len(data)), max_size=most).map(sorted)
    return places.map(lambda at: [data[a:b] for a, b in zip([0, *at], [*at, len(data)], strict=True)])


def every_byte(data: bytes) -> list[bytes]:
    """`data` as one piece for each byte."""
    return [data[i : i + 1] for i in range(len(data))]


def in_two(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """`data` cut in two, at each of its bytes."""
    return ((data[:i], data[i:]) for i in range(1, len(data)))


def joined(deltas: Iterable[Delta]) -> list[Delta]:
    """The same with neighbours of one kind joined, so that streams that are cut otherwise compare equal."""
    made: list[Delta] = []
    for delta in deltas:
        match (made[-1] if made else None), delta:
            case Text(before), Text(text):
                made[-1] = Text(before + text)
            case Reasoning(before, ""), Reasoning(text, signature):
                made[-1] = Reasoning(before + text, signature)
            case ToolArgs(index, before), ToolArgs(of, text) if index == of:
                made[-1] = ToolArgs(index, before + text)
            case _:
                made.append(delta)
    return made


def chat_sse(deltas: Iterable[Delta], *, newline: bytes = b"\n", done: bool = True) -> bytes:
    """The deltas as llama.cpp would stream them in chat chunks; signatures and stop sequences are lost in it.

    `done`: with its end mark. Raises the error of a `Failure`: engines have no common form for it.
    """
    head = {"created": 1760000000, "id": "chatcmpl-9", "model": "m", "object": "chat.completion.chunk"}
    events: list[dict[str, Any]] = [head | _choice({"role": "assistant", "content": None})]
    events += [head | _fields(delta) for delta in deltas]
    data = [msgspec.json.encode(event) for event in events] + ([b"[DONE]"] if done else [])
    return b"".join(b"data: " + datum + newline * 2 for datum in data)


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"finish_reason": finish_reason, "index": 0, "delta": delta}]}


def _fields(delta: Delta) -> dict[str, Any]:
    match delta:
        case Text(text):
            return _choice({"content": text})
        case Reasoning(text):
            return _choice({"reasoning_content": text})
        case ToolStart(index, id, name):
            call = {"index": index, "type": "function", "function": {"name": name, "arguments": ""}}
            return _choice({"tool_calls": [call | ({"id": id} if id else {})]})
        case ToolArgs(index, text):
            return _choice({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
        case Stop(reason):
            return _choice({}, "stop" if reason == "stop_sequence" else reason)
        case Counted(usage):
            total = usage.prompt_tokens + usage.completion_tokens
            counts = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
            details = {"prompt_tokens_details": {"cached_tokens": usage.cached_tokens}}
            return {"choices": [], "usage": counts | {"total_tokens": total} | details}
        case Progress(done, total, cached):
            report = {"total": total, "cache": cached, "processed": done, "time_ms": 5}
            return _choice({}) | {"prompt_progress": report}
        case _:
            raise delta.error
