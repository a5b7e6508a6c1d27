"""Streams and whole answers of the Responses protocol, read into deltas wherever their bytes are cut."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    StopReason,
    Text,
    Thinking,
    ToolArgs,
    ToolStart,
    fold,
)
from controlplane.protocols.responses import ResponsesSurface
from controlplane.protocols.responses_decoder import ResponsesDecoder
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    Overloaded,
)
from tests.simulators.openai_responses import events, response
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import Script
from tests.unit.controlplane.protocols.deltas import answers, cuts, every_byte, in_two, joined

SURFACE = ResponsesSurface()
META = Meta("9f", "m", 1760000000, prompt_tokens=7)
REQUESTS = (Request("m", ()), Request("m", (), thinking=Thinking(summary=True)))
ASKED: Any = {"model": "gpt-5", "input": "Hi", "include": ["reasoning.encrypted_content"]}
ASKED["reasoning"] = {"summary": "auto"}
SCRIPT = Script(reasoning="I should Ωlook 🎉.", split=3, cache_read=2, cache_write=1)
TURN = Turn("I look\n\nnow: é.", (Call("ls", '{"path": "ä"}'), Call("now", "{}")))


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def read(chunks: list[bytes]) -> list[Delta]:
    decoder = ResponsesDecoder()
    return [delta for chunk in chunks for delta in decoder.feed(chunk)] + decoder.end()


def sent(answer: Answer) -> Answer:
    """An answer as our own side writes it: calls without arguments have none, and stop sequences are not told."""
    calls = tuple(msgspec.structs.replace(call, arguments=call.arguments or "{}") for call in answer.calls)
    stop = Stop("stop") if answer.stop == Stop("stop_sequence") else answer.stop
    return msgspec.structs.replace(answer, calls=calls, stop=stop)


@given(answers(signed=True, empty_calls=True), st.sampled_from(REQUESTS), st.data())
def test_what_our_own_side_writes_is_read_back_the_same(
    deltas: list[Delta], request: Request, data: st.DataObject
):
    encoder = SURFACE.encoder(request, META)
    written = encoder.keep_alive(60) + encoder.feed(deltas) + encoder.keep_alive(60) + encoder.end()
    expected = sent(fold(deltas))
    assert fold(read(every_byte(written))) == expected
    assert fold(read(data.draw(cuts(written)))) == expected
    whole = SURFACE.render(request, fold(deltas), META)
    assert fold(ResponsesDecoder().whole(whole)) == expected


VENDOR = b"".join(event for _, event in events(ASKED, SCRIPT, TURN, 7))
WHOLE = json.dumps(response(ASKED, SCRIPT, TURN, 7)).encode()


def test_a_vendors_stream_is_read_wherever_it_is_cut():
    deltas = joined(read([VENDOR]))
    thought, text, *calls, counted, stop = deltas
    assert isinstance(thought, Reasoning) and thought.signature.startswith("gAAAAA")
    assert thought.text == "I should Ωlook 🎉." and text == Text("I look\n\nnow: é.")
    assert calls == [
        *(ToolStart(0, "call_Sim7x0", "ls"), ToolArgs(0, '{"path": "ä"}')),
        *(ToolStart(1, "call_Sim7x1", "now"), ToolArgs(1, "{}")),
    ]
    assert isinstance(counted, Counted)
    assert (counted.usage.cached_tokens, counted.usage.cache_written_tokens) == (2, 1)
    assert stop == Stop("tool_calls")
    assert read(every_byte(VENDOR)) == read([VENDOR]) == read([VENDOR.replace(b"\n", b"\r\n")])
    assert all(read(list(halves)) == read([VENDOR]) for halves in in_two(VENDOR))


def test_a_whole_answer_amounts_to_the_same_as_its_stream():
    assert fold(ResponsesDecoder().whole(WHOLE)) == fold(read([VENDOR]))


def test_what_no_piece_told_the_finished_item_tells():
    output = json.loads(WHOLE)["output"]
    done = [
        {"type": "response.output_item.done", "output_index": i, "item": item}
        for i, item in enumerate(output)
    ]
    end = {"type": "response.completed", "response": json.loads(WHOLE) | {"output": []}}
    assert fold(read([sse(*done, end)])) == fold(read([VENDOR]))


def test_parts_of_a_summary_are_paragraphs_and_a_thought_is_told_once():
    kind = "response.reasoning_summary_text.delta"
    pieces = [
        *(
            {"type": kind, "output_index": 0, "summary_index": i, "delta": text}
            for i, text in enumerate("abc")
        ),
        {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "raw"},
        {"type": "response.reasoning_text.delta", "output_index": 1, "content_index": 0, "delta": "d"},
    ]
    end = {"type": "response.completed", "response": {"status": "completed"}}
    assert fold(read([sse(*pieces, end)])).reasoning == "a\n\nb\n\ncd"
    summary = [{"type": "summary_text", "text": text} for text in "abc"]
    content = [{"type": "reasoning_text", "text": "raw"}]
    body = {
        "object": "response",
        "status": "completed",
        "output": [{"type": "reasoning", "summary": summary}],
    }
    assert fold(ResponsesDecoder().whole(json.dumps(body).encode())).reasoning == "a\n\nb\n\nc"
    body["output"] = [{"type": "reasoning", "summary": summary, "content": content}]
    assert fold(ResponsesDecoder().whole(json.dumps(body).encode())).reasoning == "raw"


def test_names_are_the_clients_again_and_custom_calls_have_their_input_as_an_argument():
    call = {"type": "function_call", "call_id": "c", "name": "short", "arguments": "{}"}
    custom = {"type": "custom_tool_call", "call_id": "d", "name": "patch", "input": 'a "b"'}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    body = {"object": "response", "status": "completed", "output": [search, call, custom]}
    answer = fold(ResponsesDecoder({"short": "its real name"}).whole(json.dumps(body).encode()))
    assert [call.name for call in answer.calls] == ["its real name", "patch"]
    assert json.loads(answer.calls[1].arguments) == {"input": 'a "b"'}


def test_what_a_vendor_does_on_its_own_account_is_passed_over_whatever_it_holds():
    items = [
        {"type": "tool_search_call", "arguments": {"query": "x"}, "execution": "server", "call_id": None},
        {"type": "mcp_call", "name": "look", "arguments": "{}", "output": "found", "error": {"code": 1}},
        {
            "type": "shell_call_output",
            "call_id": "s",
            "output": [{"stdout": "x", "outcome": {"type": "exit"}}],
        },
        {"type": "program", "content": {"code": "print(1)"}, "name": ["x"]},
    ]
    added = [
        {"type": "response.output_item.added", "output_index": i, "item": x} for i, x in enumerate(items)
    ]
    done = [{"type": "response.output_item.done", "output_index": i, "item": x} for i, x in enumerate(items)]
    events = [
        {"type": "response.shell_call_output_content.delta", "output_index": 2, "delta": {"stdout": "x"}},
        {
            "type": "response.image_generation_call.partial_image",
            "output_index": 1,
            "partial_image_b64": "iVBO",
        },
        {"type": "response.something.new", "code": {"a": 1}, "usage": 3, "output": "x", "error": [1]},
        {"type": "response.output_text.delta", "output_index": 4, "delta": "Found."},
    ]
    end = {"status": "completed", "output": items}
    streamed = read([sse(*added, *events, *done, {"type": "response.completed", "response": end})])
    assert streamed == [Text("Found."), Stop("stop")]
    assert ResponsesDecoder().whole(json.dumps({"object": "response", **end}).encode()) == [Stop("stop")]


def test_an_event_that_should_have_been_read_and_cannot_be_is_a_failure():
    (failure,) = read([sse({"type": "response.completed", "response": {"status": 7}})])
    assert isinstance(failure, Failure) and "status" in failure.error.message


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"status": "completed"}, "stop"),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete", "incomplete_details": None}, "stop"),
    ],
)
def test_reasons_to_stop_are_understood(said: dict[str, Any], reason: StopReason):
    (stop,) = read([sse({"type": f"response.{said['status']}", "response": said})])
    assert (
        stop
        == Stop(reason)
        == ResponsesDecoder().whole(json.dumps({"object": "response", **said}).encode())[0]
    )


def test_a_refusal_is_what_was_said_and_why_it_ended():
    delta = {"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "I won't."}
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "I won't."}]}
    streamed = read([sse(delta, {"type": "response.completed", "response": {"status": "completed"}})])
    body = {"object": "response", "status": "completed", "output": [item]}
    whole = ResponsesDecoder().whole(json.dumps(body).encode())
    assert streamed == whole == [Text("I won't."), Stop("content_filter")]


def test_a_stream_that_ends_before_its_end_is_a_failure():
    *_, last = read([VENDOR[: VENDOR.index(b"event: response.completed")]])
    assert isinstance(last, Failure) and isinstance(last.error, EngineDied)


@pytest.mark.parametrize(
    ("code", "message", "kind", "wait"),
    [
        ("rate_limit_exceeded", "Limit reached. Please try again in 6.2s. Visit", Overloaded, 7),
        ("rate_limit_exceeded", "Please try again in 900ms.", Overloaded, 1),
        ("rate_limit_exceeded", "Please try again in 90s.", Overloaded, 30),
        ("server_is_overloaded", "busy", Overloaded, 1),
        ("insufficient_quota", "You exceeded your current quota", EngineUnreachable, 30),
        (
            "context_length_exceeded",
            "Your input exceeds the context window of this model.",
            ContextTooLong,
            None,
        ),
        ("invalid_prompt", "Invalid prompt", BadRequest, None),
        ("image_too_large", "too large", BadRequest, None),
        ("server_error", "An error occurred", EngineDied, 1),
        (None, None, EngineDied, 1),
    ],
)
def test_an_error_ends_an_answer_whatever_form_it_has(
    code: str | None, message: str | None, kind: type[FlockError], wait: int | None
):
    error = {"code": code, "message": message}
    usage = {"input_tokens": 3, "output_tokens": 4, "input_tokens_details": {"cached_tokens": 1}}
    failed = {"object": "response", "status": "failed", "error": error, "usage": usage}
    for deltas in (
        read([sse({"type": "error", **error}, {"type": "response.completed", "response": {}})]),
        read([sse({"type": "error", "error": {"type": "x", **error}})]),
        read([sse({"type": "response.failed", "response": failed})]),
        ResponsesDecoder().whole(json.dumps(failed).encode()),
    ):
        *counted, failure = deltas
        assert counted in ([], [Counted(Usage(3, 4, 1))])
        assert isinstance(failure, Failure) and type(failure.error) is kind
        assert failure.error.retry_after == wait


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"no JSON", b"[1]", b"{}", b'{"a":"\xff"}', b'{"error":"at /srv/models/x"}'),
        b'{"object":"response","status":"in_progress","output":[]}',
        b'{"object":"response","status":"cancelled"}',
    ],
)
def test_what_is_no_answer_is_a_failure(body: bytes):
    (failure,) = ResponsesDecoder().whole(body)
    assert isinstance(failure, Failure) and isinstance(failure.error, EngineDied)
    assert "/srv" not in failure.error.message
