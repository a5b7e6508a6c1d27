"""What engines do with chat/completions, and what it means."""

from typing import Any

import msgspec
import pytest

from controlplane.protocols.base import Usage
from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Progress,
    Reasoning,
    Stop,
    Text,
    ToolArgs,
    ToolStart,
)
from controlplane.protocols.sse import MAX_EVENT
from flockpy.errors import ContextTooLong, EngineDied


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(**fields: Any) -> dict[str, Any]:
    return chunk(tool_calls=[fields])


def stream(*chunks: Any, done: bool = True) -> bytes:
    events = b"".join(b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks)
    return events + (b"data: [DONE]\n\n" if done else b"")


def read(data: bytes) -> list[Delta]:
    decoder = ChatDecoder()
    return decoder.feed(data) + decoder.end()


def failed(deltas: list[Delta], said: str, kind: type = EngineDied) -> bool:
    last = deltas[-1]
    assert isinstance(last, Failure) and type(last.error) is kind
    assert said in last.error.message
    return not any(isinstance(delta, Failure) for delta in deltas[:-1])


END = chunk("stop")


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_has_two_names(field: str):
    said = chunk(**{field: "hm"}), chunk(content="", **{field: None}), chunk(content="yes")
    assert read(stream(*said, END)) == [Reasoning("hm"), Text("yes"), Stop("stop")]


def test_reasoning_under_both_names_is_said_once():
    assert read(stream(chunk(reasoning="hm", reasoning_content="hm"), END))[0] == Reasoning("hm")


WHOLE = {"name": "f", "arguments": '{"a":1}'}
BEGUN = [ToolStart(0, "c1", "f"), ToolArgs(0, '{"a":1}')]


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([call(index=0, id="c1", type="function", function=WHOLE)], BEGUN),
        ([call(id="c1", function=WHOLE)], BEGUN),
        (
            [call(id="c1", function={"name": "f"}), call(function={"arguments": '{"a":1}'})],
            BEGUN,
        ),
        (
            [
                call(index=0, id="c1", function={"name": "f", "arguments": ""}),
                call(index=0, id="c1", function={"name": None, "arguments": '{"a":1}'}),
            ],
            BEGUN,
        ),
        (
            [
                call(index=0, id="c1", function={"name": "f", "arguments": '{"a"'}),
                call(index=0, id="c1", function={"name": "f", "arguments": ":1}"}),
            ],
            [ToolStart(0, "c1", "f"), ToolArgs(0, '{"a"'), ToolArgs(0, ":1}")],
        ),
        (
            [
                call(index=0, id="c1", function={"arguments": '{"a"'}),
                call(index=0, function={"name": "f", "arguments": ":1}"}),
            ],
            BEGUN,
        ),
        ([call(index=0, id="c1", function={"name": "f", "arguments": {"a": 1}})], BEGUN),
        (
            [call(index=0, function={"name": "f", "arguments": {}})],
            [ToolStart(0, "", "f"), ToolArgs(0, "{}")],
        ),
        ([call(index=7, id="c1", function=WHOLE)], BEGUN),
        (
            [call(index=0, id="c1", function=WHOLE), call(index=0, id="c2", function=WHOLE)],
            [*BEGUN, ToolStart(1, "c2", "f"), ToolArgs(1, '{"a":1}')],
        ),
        (
            [call(function=WHOLE), call(function=WHOLE)],
            [ToolStart(0, "", "f"), ToolArgs(0, '{"a":1}'), ToolStart(1, "", "f"), ToolArgs(1, '{"a":1}')],
        ),
        (
            [
                call(id="c1", function={"name": "f"}),
                call(id="c2", function={"name": "g"}),
                call(id="c1", function={"arguments": "{}"}),
            ],
            [ToolStart(0, "c1", "f"), ToolStart(1, "c2", "g"), ToolArgs(0, "{}")],
        ),
        ([call(index=0, id="c1", function={"arguments": "{}"})], [ToolStart(0, "c1", ""), ToolArgs(0, "{}")]),
    ],
    ids=[
        "a whole call in one chunk",
        "no index",
        "no index, no id later",
        "a later name that is null",
        "id and name repeated",
        "a name that comes late",
        "arguments as an object",
        "an empty object",
        "indices that do not begin at 0",
        "every index 0",
        "neither index nor id",
        "told apart by id alone",
        "never a name",
    ],
)
def test_calls_are_put_together_whatever_is_left_out(chunks: list[Any], expected: list[Delta]):
    assert read(stream(*chunks, chunk("tool_calls"))) == [*expected, Stop("tool_calls")]


def test_no_tool_calls_are_no_call():
    assert read(stream(chunk(content="a", tool_calls=[]), chunk(tool_calls=None), END)) == [
        Text("a"),
        Stop("stop"),
    ]


@pytest.mark.parametrize(
    ("said", "calls", "meant"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),
        ("tool_calls", True, "tool_calls"),
        ("tool_calls", False, "stop"),
        ("function_call", True, "tool_calls"),
        ("length", True, "length"),
        ("max_tokens", False, "length"),
        ("content_filter", False, "content_filter"),
        ("eos", False, "stop"),
    ],
)
def test_why_an_answer_ended(said: str, calls: bool, meant: str):
    before = [call(index=0, id="c1", function=WHOLE)] if calls else []
    assert read(stream(*before, chunk(said)))[-1:] == [Stop(meant)]  # pyright: ignore[reportArgumentType]


def test_vllm_tells_the_stop_sequence_it_met():
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "###"}]}
    token = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": 151645}]}
    assert read(stream(end)) == [Stop("stop_sequence", "###")]
    assert read(stream(token)) == [Stop("stop")]


def test_usage_comes_on_any_chunk_and_the_last_one_counts():
    usage = {
        "prompt_tokens": 5,
        "completion_tokens": None,
        "prompt_tokens_details": {"cached_tokens": 3},
    }
    deltas = read(stream(chunk(content="a") | {"usage": None}, END | {"usage": usage}))
    assert deltas == [Text("a"), Stop("stop"), Counted(Usage(5, 0, 3))]
    alone = {"choices": [], "usage": usage | {"completion_tokens": 2, "prompt_tokens_details": None}}
    assert read(stream(END, alone))[1:] == [Counted(Usage(5, 2))]
    assert read(stream(END, {"usage": usage}))[1:] == [Counted(Usage(5, 0, 3))]


def test_the_reading_of_the_prompt_is_progress():
    report = chunk(role="assistant", content=None) | {
        "prompt_progress": {"total": 20, "cache": 4, "processed": 19, "time_ms": 3}
    }
    assert read(stream(report, END))[0] == Progress(19, 20, 4)
    assert read(b": keepalive 19/20\n\n: other\n\n" + stream(END)) == [Progress(19, 20), Stop("stop")]


def test_only_the_first_choice_counts():
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}
    both = {"choices": [other, {"delta": {"content": "yes"}}]}
    assert read(stream(both, {"choices": [other]}, END)) == [Text("yes"), Stop("stop")]


def test_an_end_mark_without_a_reason_is_an_end():
    assert read(stream(chunk(content="a"))) == [Text("a"), Stop("stop")]
    assert read(stream(call(id="c1", function=WHOLE)))[-1] == Stop("tool_calls")


def test_a_reason_without_an_end_mark_is_an_end():
    assert read(stream(chunk(content="a"), END, done=False)) == [Text("a"), Stop("stop")]
    assert read(stream(END, done=False).rstrip()) == [Stop("stop")]
    assert read(stream(END, done=False) + b'data: {"choi') == [Stop("stop")]


def test_nothing_is_said_after_the_end():
    assert read(stream(END, chunk("length", content="more")) + stream(chunk(content="a"))) == [Stop("stop")]


@pytest.mark.parametrize("rest", [b"", b"\n", b'data: {"choices":[{"del', b"data: "])
def test_a_stream_that_breaks_off_is_an_engine_that_died(rest: bytes):
    deltas = read(stream(chunk(content="a"), done=False) + rest)
    assert deltas[0] == Text("a")
    assert failed(deltas, "the engine broke off")


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error":{"code":500,"message":"no luck","type":"server_error"}}\n\n',
        b'error: {"code":500,"message":"no luck","type":"server_error"}\n\n',
        b'error: {"error":{"message":"no luck"}}\n\n',
        b'data: {"error":"no luck"}\n\n',
        b'event: error\r\ndata: {"error":{"message":"no luck"}}\r\n\r\n',
        b'data: {"object":"error","message":"no luck","type":"BadRequestError","param":null,"code":400}\n\n',
        b'{"error":{"message":"no luck"}}\n',
    ],
    ids=["OpenAI", "llama.cpp", "nested", "a text", "named", "vLLM", "no stream at all"],
)
def test_an_error_in_a_stream_ends_it(event: bytes):
    deltas = read(stream(chunk(content="a"), done=False) + event + stream(END))
    assert deltas[0] == Text("a") and len(deltas) == 2
    assert failed(deltas, "no luck")


def test_a_prompt_that_is_too_long_is_the_clients_affair():
    error = {"error": {"code": 400, "message": "too long", "type": "exceed_context_size_error"}}
    assert failed(read(stream(error)), "too long", ContextTooLong)


def test_an_error_tells_no_path_of_the_machine():
    deltas = read(stream({"error": {"message": "cannot open /srv/models/secret/m.gguf"}}))
    assert failed(deltas, "cannot open m.gguf")


@pytest.mark.parametrize("said", ["abort", "error", "insufficient_system_resource"])
def test_an_engine_that_gave_up_has_died(said: str):
    assert failed(read(stream(chunk(content="a"), chunk(said))), said)


@pytest.mark.parametrize(
    "event",
    [b"data: {", b'data: {"choices":5}', b'data: {"error":"\xff"}', b'data: {"choices":' + b"[" * 100_000],
    ids=["cut short", "of another shape", "no UTF-8", "too deep"],
)
def test_nonsense_ends_the_stream(event: bytes):
    assert failed(read(event + b"\n\n" + stream(END)), "no part of an answer")


def test_a_whole_answer_has_the_same_deltas():
    calls = [{"id": "c1", "function": WHOLE}, {"id": "c1", "function": WHOLE}]
    message = {"role": "assistant", "content": "a", "reasoning": "hm", "tool_calls": calls}
    other = {"index": 1, "message": {"content": "no"}, "finish_reason": "stop"}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}, other]
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    assert ChatDecoder().whole(msgspec.json.encode({"choices": choices, "usage": usage})) == [
        *(Reasoning("hm"), Text("a")),
        *(ToolStart(0, "c1", "f"), ToolArgs(0, '{"a":1}')),
        *(ToolStart(1, "c1", "f"), ToolArgs(1, '{"a":1}')),
        *(Stop("tool_calls"), Counted(Usage(1, 2))),
    ]


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b'{"choices":[]}', b'{"error":"x"}', b'{"usage":{"prompt_tokens":1}}']
)
def test_what_is_no_answer_is_a_failure(body: bytes):
    assert failed(ChatDecoder().whole(body), "the engine broke off")


@pytest.mark.parametrize(
    ("timings", "times"),
    [
        ('{"prompt_ms":0.5,"predicted_ms":2,"predicted_n":3}', (0.5, 2.0)),
        ('{"prompt_ms":-1}', (0.0, 0.0)),
        ("{}", (0.0, 0.0)),
        ("null", (0.0, 0.0)),
        ('"fast"', (0.0, 0.0)),
        ("[1]", (0.0, 0.0)),
    ],
)
def test_how_long_llamacpp_took_is_read_and_nothing_else_takes_offence(
    timings: str, times: tuple[float, float]
) -> None:
    usage = '"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}'
    deltas = ChatDecoder().feed(f'data: {{{usage},"timings":{timings}}}\n\n'.encode())
    assert deltas == [Counted(Usage(3, 2, prompt_ms=times[0], completion_ms=times[1]))]


def test_a_line_without_end_is_given_up():
    decoder, piece = ChatDecoder(), b"x" * 2**20
    with pytest.raises(EngineDied, match="more than"):
        for _ in range(2 * MAX_EVENT // len(piece)):
            assert decoder.feed(piece) == []
