"""Streams of the Messages protocol: what the official client makes of them is what the whole answer says."""

import json
from typing import Any

import anthropic
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.anthropic import MessagesSurface
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
    Tool,
    ToolArgs,
    ToolStart,
    fold,
)
from flockpy.errors import EngineDied, Overloaded
from tests.unit.controlplane.protocols.deltas import answers
from tests.unit.controlplane.protocols.messages_sdk import Reader, events, told

SURFACE = MessagesSurface()
REQUEST = Request("m", ())
META = Meta("9f", "m", 1760000000, prompt_tokens=7)
READER = Reader()
COUNTED = Counted(Usage(10, 3, 4))
_DELTAS = {
    "text": {"text_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
}


def stream(*groups: list[Delta]) -> bytes:
    encoder = SURFACE.encoder(REQUEST, META)
    return b"".join(encoder.feed(group) for group in groups) + encoder.end()


def shown(written: bytes) -> list[tuple[str, ...]]:
    """What the events say, in short."""
    made: list[tuple[str, ...]] = []
    for event in events(written):
        match event:
            case {"content_block": block}:
                made.append(("open", block["type"], block.get("name", "")))
            case {"type": "content_block_delta", "delta": delta}:
                made.append(("say", next(str(value) for key, value in delta.items() if key != "type")))
            case {"type": "content_block_stop"}:
                made.append(("close",))
            case {"type": name}:
                made.append((name,))
    return made


def check_order(written: bytes) -> None:
    """message_start; blocks of contiguous indices, one open at a time, their own deltas in them; the end."""
    said = [event for event in events(written) if event["type"] != "ping"]
    assert [event["type"] for event in (said[0], *said[-2:])] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    open_block: dict[str, Any] | None = None
    count = 0
    pieces: list[str] = []
    for event in said[1:-2]:
        match event["type"]:
            case "content_block_start":
                assert open_block is None and event["index"] == count
                open_block = event["content_block"]
                count += 1
                assert open_block is not None and open_block.get("input", {}) == {}
                pieces = []
            case "content_block_delta":
                assert open_block is not None and event["index"] == count - 1
                assert event["delta"]["type"] in _DELTAS[open_block["type"]]
                pieces.append(event["delta"].get("partial_json", ""))
            case "content_block_stop":
                assert open_block is not None and event["index"] == count - 1
                assert open_block["type"] != "tool_use" or isinstance(json.loads("".join(pieces)), dict)
                open_block = None
            case other:
                pytest.fail(f"{other} between the blocks")
    assert open_block is None


@st.composite
def grouped(draw: st.DrawFn) -> tuple[list[Delta], list[list[Delta]], list[float | None]]:
    """An answer, the same in groups, and how long the silence before each group was, None without one."""
    made = draw(answers(signed=True, sequences=True, empty_calls=True, ids=draw(st.booleans())))
    if draw(st.booleans()):  # the answer breaks off within a call
        made = [*made[: draw(st.integers(0, len(made)))], Stop("length"), COUNTED]
    at = sorted(draw(st.lists(st.integers(0, len(made)), max_size=6)))
    groups = [made[a:b] for a, b in zip([0, *at], [*at, len(made)], strict=True)]
    return made, groups, draw(st.lists(st.sampled_from([None, 10, 60]), min_size=7, max_size=7))


@given(grouped())
def test_the_clients_own_accumulator_makes_of_a_stream_what_the_whole_answer_says(
    case: tuple[list[Delta], list[list[Delta]], list[float | None]],
):
    deltas, groups, silences = case
    encoder = SURFACE.encoder(REQUEST, META)
    written = b""
    for group, silent_s in zip(groups, silences, strict=False):
        written += encoder.keep_alive(silent_s) if silent_s is not None else b""
        written += encoder.feed(group)
    written += encoder.end()
    check_order(written)
    whole = READER.whole(SURFACE.render(REQUEST, fold(deltas), META))
    assert told(READER.streamed(written)) == told(whole)


@given(answers(kinds=("reasoning",), blocks=1), answers(kinds=("text",), blocks=1), answers(kinds=("tools",)))
def test_an_answer_in_the_usual_order_has_the_same_blocks_streamed_and_whole(
    reasoning: list[Delta], text: list[Delta], calls: list[Delta]
):
    deltas = [*reasoning[:-2], *text[:-2], *calls]
    streamed = READER.streamed(stream(deltas))
    whole = READER.whole(SURFACE.render(REQUEST, fold(deltas), META))
    assert [block.to_dict() for block in streamed.content] == [block.to_dict() for block in whole.content]


def test_a_message_begins_at_once_with_an_estimate_of_its_prompt():
    start = events(SURFACE.encoder(REQUEST, META).feed([Progress(1, 100)]))
    assert start == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_9f",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 7,
                    "cache_creation_input_tokens": 0,
                    "cache_read_input_tokens": 0,
                    "output_tokens": 0,
                },
            },
        }
    ]


def test_parallel_calls_whose_arguments_interleave_are_one_block_after_the_other():
    written = stream(
        [
            *(ToolStart(0, "a", "ls"), ToolArgs(0, '{"p":'), ToolStart(1, "", "cat"), ToolArgs(1, '{"f"')),
            *(
                ToolArgs(0, "1"),
                Text("so"),
                ToolArgs(1, ":2}"),
                ToolArgs(0, "}"),
                Stop("tool_calls"),
                COUNTED,
            ),
        ]
    )
    assert shown(written) == [
        ("message_start",),
        *(("open", "tool_use", "ls"), ("say", '{"p":1}'), ("close",)),
        *(("open", "tool_use", "cat"), ("say", '{"f":2}'), ("close",)),
        *(("open", "text", ""), ("say", "so"), ("close",)),
        *(("message_delta",), ("message_stop",)),
    ]
    ids = [block.id for block in READER.streamed(written).content if block.type == "tool_use"]
    assert ids == ["a", "toolu_9f_1"]


def test_a_call_is_out_as_soon_as_another_block_shows_that_it_is_whole():
    encoder = SURFACE.encoder(REQUEST, META)
    encoder.feed([ToolStart(0, "a", "ls"), ToolArgs(0, "{}")])
    assert shown(encoder.feed([ToolStart(1, "b", "cat")])) == [
        ("say", "{}"),
        ("close",),
        ("open", "tool_use", "cat"),
    ]


def test_repeated_ids_of_calls_are_told_apart():
    calls: list[Delta] = [ToolStart(0, "x", "ls"), ToolStart(1, "x", "ls"), Stop("tool_calls")]
    message = READER.streamed(stream(calls))
    assert [block.id for block in message.content if block.type == "tool_use"] == ["x", "toolu_9f_1"]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        ("null", {}),
        (' {"a": 1} ', {"a": 1}),
        ('{"command": "rm -rf /tmp/a', {"_raw": '{"command": "rm -rf /tmp/a'}),
        ('"text"', {"_raw": '"text"'}),
        ("[1]", {"_raw": "[1]"}),
        ("{'a': 1}", {"_raw": "{'a': 1}"}),
        ("[" * 5000, {"_raw": "[" * 5000}),
    ],
)
def test_arguments_reach_the_client_as_an_object_whatever_they_are(arguments: str, given: dict[str, Any]):
    deltas: list[Delta] = [ToolStart(0, "a", "ls"), ToolArgs(0, arguments), Stop("length"), COUNTED]
    for message in (
        READER.streamed(stream(deltas)),
        READER.whole(SURFACE.render(REQUEST, fold(deltas), META)),
    ):
        assert [block.input for block in message.content if block.type == "tool_use"] == [given]


def test_a_call_with_long_arguments_shows_life_while_they_are_held_back():
    encoder = SURFACE.encoder(REQUEST, META)
    encoder.feed([ToolStart(0, "a", "write"), ToolArgs(0, '{"text":"')])
    written = b"".join(encoder.feed([ToolArgs(0, "x")]) for _ in range(100))
    assert shown(written) == [("say", "")] * 3
    written = encoder.feed([ToolArgs(0, '"}'), Stop("tool_calls")])
    assert shown(written) == [("say", '{"text":"' + "x" * 100 + '"}'), ("close",)]


@given(answers(kinds=("tools", "text"), empty_calls=True))
def test_arguments_a_client_wants_at_once_are_streamed_as_they_are_written(deltas: list[Delta]):
    names = {delta.name for delta in deltas if isinstance(delta, ToolStart)}
    tools = tuple(Tool(name, "", msgspec.Raw(b"{}"), eager=True) for name in names)
    encoder = SURFACE.encoder(Request("m", (), tools=tools), META)
    written = [encoder.feed([delta]) for delta in deltas]
    whole = b"".join(written) + encoder.end()
    check_order(whole)
    assert told(READER.streamed(whole)) == told(READER.whole(SURFACE.render(REQUEST, fold(deltas), META)))
    if deltas and isinstance(deltas[0], ToolStart) and isinstance(deltas[1], ToolArgs):
        assert ("say", deltas[1].text) in shown(written[1])


def test_arguments_a_client_wants_at_once_end_where_they_were_cut_short():
    tools = (Tool("write", "", msgspec.Raw(b"{}"), eager=True),)
    encoder = SURFACE.encoder(Request("m", (), tools=tools), META)
    encoder.feed([ToolStart(0, "a", "write")])
    assert shown(encoder.feed([ToolArgs(0, '{"text": "a')])) == [("say", '{"text": "a')]
    assert shown(encoder.feed([Stop("length")])) == [("close",)]


@pytest.mark.parametrize(
    ("stop", "calls", "reason", "sequence"),
    [
        (Stop("stop"), 0, "end_turn", None),
        (Stop("stop"), 1, "tool_use", None),
        (Stop("tool_calls"), 1, "tool_use", None),
        (Stop("tool_calls"), 0, "end_turn", None),
        (Stop("length"), 1, "max_tokens", None),
        (Stop("content_filter"), 0, "refusal", None),
        (Stop("stop_sequence", "END"), 0, "stop_sequence", "END"),
        (None, 0, "end_turn", None),
        (None, 1, "tool_use", None),
    ],
)
def test_an_answer_says_why_it_ended(stop: Stop | None, calls: int, reason: str, sequence: str | None):
    started: list[Delta] = [ToolStart(index, "", "ls") for index in range(calls)]
    deltas = [*started, stop] if stop else started
    message = READER.streamed(stream(deltas))
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)
    assert READER.whole(SURFACE.render(REQUEST, fold(deltas), META)).stop_reason == reason


def test_usage_counts_cached_tokens_apart_and_the_last_count_wins():
    usage = READER.streamed(stream([Counted(Usage(1, 1)), Text("a"), Stop("stop"), COUNTED])).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (6, 4, 3)
    assert usage.cache_creation_input_tokens == 0


def test_tokens_written_into_a_vendors_cache_are_told_as_such():
    counted = Counted(Usage(10, 3, 4, cache_written_tokens=5))
    usage = READER.streamed(stream([Text("a"), Stop("stop"), counted])).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (1, 4, 5)


def test_usage_that_no_engine_counted_is_estimated():
    usage = READER.streamed(stream([Text("12345"), Stop("stop")])).usage
    assert (usage.input_tokens, usage.output_tokens) == (7, 2)


def test_a_failure_ends_the_stream_with_an_error_that_the_client_raises():
    encoder = SURFACE.encoder(REQUEST, META)
    call: list[Delta] = [ToolStart(0, "a", "ls"), ToolArgs(0, "{}")]
    written = encoder.feed([*call, Failure(EngineDied("the engine broke off"))])
    assert encoder.keep_alive(60) == encoder.end() == b""
    assert shown(written)[-1] == ("error",) and ("close",) not in shown(written)
    with pytest.raises(anthropic.APIStatusError, match="the engine broke off"):
        READER.streamed(written)


def test_a_failure_before_all_else_is_the_only_event():
    written = SURFACE.encoder(REQUEST, META).feed([Failure(Overloaded("try again"))])
    assert events(written) == [
        {"type": "error", "error": {"type": "overloaded_error", "message": "try again"}}
    ]


@pytest.mark.parametrize(
    ("said", "kept_alive"),
    [
        ([], [("open", "text", ""), ("say", "")]),
        ([Text("a")], [("say", "")]),
        ([Reasoning("a")], [("say", "")]),
        ([ToolStart(0, "a", "ls")], [("say", "")]),
        ([Stop("stop")], [("ping",)]),
    ],
)
def test_a_minute_of_silence_is_broken_by_an_empty_delta(
    said: list[Delta], kept_alive: list[tuple[str, ...]]
):
    encoder = SURFACE.encoder(REQUEST, META)
    encoder.feed(said)
    assert shown(encoder.keep_alive(59.9)) == [("ping",)]
    assert shown(encoder.keep_alive(60)) == kept_alive
    if said and not isinstance(said[0], Stop):
        assert shown(encoder.keep_alive(70)) == [("say", "")]


def test_keeping_alive_begins_the_message():
    assert shown(SURFACE.encoder(REQUEST, META).keep_alive(10)) == [("message_start",), ("ping",)]
