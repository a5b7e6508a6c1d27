"""Streamed Responses answers: what the official SDK makes of them is what the whole answer says."""

import json
from collections.abc import Iterable
from typing import Any, get_args

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent

from controlplane.protocols.base import Usage
from controlplane.protocols.ir import (
    Answer,
    Assistant,
    Counted,
    Delta,
    Failure,
    Meta,
    Origin,
    Progress,
    Reasoning,
    Request,
    Stop,
    Text,
    TextPart,
    Thinking,
    Tool,
    ToolArgs,
    ToolCall,
    ToolStart,
    User,
    fold,
)
from controlplane.protocols.responses import ResponsesSurface
from controlplane.protocols.responses_tools import as_input
from flockpy.errors import ContextTooLong, EngineDied, FlockError, Forbidden, Overloaded, QuotaSpent
from tests.unit.controlplane.protocols.deltas import answers, pieces, texts_of

SURFACE = ResponsesSurface()
META = Meta("9f", "qwen", 1760000000, 7)
SCHEMA = msgspec.Raw(b'{"type":"object"}')
TOOLS = (
    Tool("get_weather", "", SCHEMA),
    Tool("mcp__files__read", "", SCHEMA, origin=Origin("read", "mcp__files")),
    Tool("apply_patch", "", SCHEMA, origin=Origin("apply_patch", custom=True)),
)
ASKED = Request("qwen", (User((TextPart("hi"),)),), stream=True, tools=TOOLS)
SHOWN = Request("qwen", ASKED.messages, tools=TOOLS, thinking=Thinking(summary=True))
DONE = [Stop("stop"), Counted(Usage(10, 5, 3))]
KINDS = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(ResponseStreamEvent)[0])
}
_PARSED = ("parsed", "parsed_arguments")
ITEM_EVENTS = (
    "reasoning_summary_part",
    "reasoning_summary_text",
    "content_part",
    "output_text",
    "reasoning_text",
    "function_call_arguments",
    "custom_tool_call_input",
)


def streamed(deltas: Iterable[Delta], request: Request = ASKED) -> bytes:
    encoder = SURFACE.encoder(request, META)
    return b"".join(encoder.feed([delta]) for delta in deltas) + encoder.end()


def events(stream: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each of which the SDK's own types accept as it is."""
    assert stream.endswith(b"\n\n")
    found: list[dict[str, Any]] = []
    for event in stream.removesuffix(b"\n\n").split(b"\n\n"):
        named, data = event.split(b"\n")
        datum = json.loads(data.removeprefix(b"data: "))
        assert named == b"event: " + datum["type"].encode()
        KINDS[datum["type"]].model_validate_json(data.removeprefix(b"data: "), strict=True)
        found.append(datum)
    return found


def kinds(stream: bytes) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events(stream)]


def whole(deltas: Iterable[Delta], request: Request = ASKED) -> dict[str, Any]:
    body = SURFACE.render(request, fold(deltas), META)
    Response.model_validate_json(body, strict=True)
    return json.loads(body)


def check_order(found: list[dict[str, Any]]) -> None:
    """One item open at a time, each added before it grows and whole when it is done."""
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"] for event in found[:2]] == ["response.created", "response.in_progress"]
    open_item: dict[str, Any] | None = None
    grown, done = "", []
    for event in found[2:-1]:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert open_item is None and event["output_index"] == len(done)
            open_item, grown = event["item"], ""
        elif kind == "output_item.done":
            assert open_item is not None and event["item"]["id"] == open_item["id"]
            assert grown == content(event["item"])
            done.append(event["item"])
            open_item = None
        elif kind.startswith(ITEM_EVENTS):
            assert open_item is not None
            assert (event["item_id"], event["output_index"]) == (open_item["id"], len(done))
            grown += event.get("delta", "")
    assert found[-1]["response"]["output"] == done


def content(item: dict[str, Any]) -> str:
    match item["type"]:
        case "function_call":
            return item["arguments"]
        case "custom_tool_call":
            return item["input"]
        case _:
            return "".join(part["text"] for part in item.get("summary", []) + item["content"])


def told(response: dict[str, Any]) -> dict[str, Any]:
    """What a response says, however it was cut into items."""
    said: dict[str, Any] = dict.fromkeys(("message", "reasoning"), "") | {"calls": {}}
    for item in response["output"]:
        if item["type"] in ("function_call", "custom_tool_call"):
            named = item["type"], item.get("namespace"), item["name"]
            said["calls"][item["call_id"]] = (*named, content(item))
        else:
            said[item["type"]] += content(item)
    return said | {name: response[name] for name in ("id", "status", "incomplete_details", "usage", "model")}


def plain(response: Response) -> Any:
    """A response as the SDK holds it, without the `parsed` that it adds to texts and calls."""
    return json.loads(response.to_json(), object_hook=lambda o: {k: o[k] for k in o if k not in _PARSED})


def through_sdk(body: bytes, stream: bool) -> Response:
    """What the SDK's own accumulator holds at the end of `body`."""
    kind = "text/event-stream" if stream else "application/json"
    transport = httpx.MockTransport(
        lambda _: httpx.Response(200, content=body, headers={"content-type": kind})
    )
    http: Any = httpx.Client(transport=transport)  # the SDK's types name a sister library's client
    with OpenAI(api_key="k", base_url="http://leader/v1", http_client=http) as client:
        if not stream:
            return client.responses.create(model="qwen", input="hi")
        with client.responses.stream(model="qwen", input="hi") as got:
            last = [*got][-1]
    assert last.type == "response.completed" or last.type == "response.incomplete"
    return last.response


@settings(max_examples=60)
@given(answers(signed=True, sequences=True, empty_calls=True), st.booleans(), st.sampled_from((ASKED, SHOWN)))
def test_the_sdk_makes_of_any_stream_what_the_whole_answer_says(
    deltas: list[Delta], ids: bool, asked: Request
):
    deltas = [
        ToolStart(d.index, d.id if ids else "", d.name) if isinstance(d, ToolStart) else d for d in deltas
    ]
    stream = streamed(deltas, asked)
    found = events(stream)
    check_order(found)
    accumulated = through_sdk(stream, stream=True)
    assert plain(accumulated) == found[-1]["response"]
    assert told(found[-1]["response"]) == told(whole(deltas, asked))


@settings(max_examples=30)
@given(answers(signed=True), st.data())
def test_in_the_usual_order_stream_and_whole_answer_are_the_same_object(
    deltas: list[Delta], data: st.DataObject
):
    answer = fold(deltas)
    usual: list[Delta] = [Reasoning(answer.reasoning), Reasoning("", answer.signature), Text(answer.text)]
    for index, call in enumerate(answer.calls):
        usual.append(ToolStart(index, call.id, call.name))
        usual += [ToolArgs(index, piece) for piece in data.draw(texts_of(call.arguments))]
    usual += [delta for delta in deltas if isinstance(delta, Stop | Counted)]
    assert events(streamed(usual))[-1]["response"] == whole(deltas)
    body = SURFACE.render(ASKED, answer, META)
    assert plain(through_sdk(body, stream=False)) == json.loads(body)


@settings(max_examples=40)
@given(st.lists(pieces, max_size=5).map("".join), st.data())
def test_a_custom_tool_gets_its_plain_text_however_it_was_cut(text: str, data: st.DataObject):
    arguments = data.draw(st.sampled_from((as_input(text), json.dumps({"input": text}, indent=1))))
    cut = [ToolArgs(0, piece) for piece in data.draw(texts_of(arguments))]
    found = events(streamed([ToolStart(0, "c", "apply_patch"), *cut, Stop("tool_calls")]))
    check_order(found)
    [item] = found[-1]["response"]["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", text)


def test_a_plain_answer_is_streamed_in_the_full_sequence_of_events():
    assert kinds(streamed([Text("a"), Text("b"), *DONE])) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_reasoning_is_told_as_its_own_summary_to_those_who_ask_for_one():
    deltas = [Reasoning("so"), Text("a"), *DONE]
    assert kinds(streamed(deltas, SHOWN))[2:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert whole(deltas, SHOWN)["output"][0]["summary"] == [{"type": "summary_text", "text": "so"}]
    assert whole(deltas)["output"][0]["content"] == [{"type": "reasoning_text", "text": "so"}]


def test_a_second_call_streams_as_soon_as_the_first_is_whole():
    encoder = SURFACE.encoder(ASKED, META)
    encoder.feed([ToolStart(0, "a", "f"), ToolArgs(0, '{"x":1}')])
    encoder.feed([ToolStart(1, "b", "f")])
    assert b"function_call_arguments.delta" in encoder.feed([ToolArgs(1, '{"y"')])


def test_what_begins_within_a_half_call_waits_for_it():
    encoder = SURFACE.encoder(ASKED, META)
    encoder.feed([ToolStart(0, "a", "f"), ToolArgs(0, '{"x":')])
    assert encoder.feed([ToolStart(1, "b", "f"), ToolArgs(1, '{"y":2}'), Text("t")]) == b""
    rest = encoder.feed([ToolArgs(0, "1}")])
    assert rest.count(b"event: response.output_item.done") == 2
    assert b'"delta":"t"' in rest


def test_calls_without_ids_or_with_ones_that_were_used_before_get_their_own():
    before = Assistant(calls=(ToolCall("call_0", "f", "{}"),))
    request = Request("qwen", (before,), tools=TOOLS)
    calls = [
        ToolStart(0, "call_0", "f"),
        ToolStart(1, "", "f"),
        ToolStart(2, "x", "f"),
        ToolStart(3, "x", "f"),
    ]
    output = events(streamed([*calls, Stop("tool_calls")], request))[-1]["response"]["output"]
    assert [item["call_id"] for item in output] == ["call_9f_0", "call_9f_1", "x", "call_9f_3"]
    assert [item["arguments"] for item in output] == ["{}"] * 4


def test_a_namespaced_tool_is_called_by_name_and_namespace_also_when_the_model_forgot_the_namespace():
    for name in ("mcp__files__read", "read"):
        [item] = whole([ToolStart(0, "a", name), ToolArgs(0, "{}"), *DONE])["output"]
        assert (item["namespace"], item["name"]) == ("mcp__files", "read")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"*** Begin"}', "*** Begin"),
        ('{"patch":"*** Begin"}', "*** Begin"),
        ('"*** Begin"', "*** Begin"),
        ("*** Begin", "*** Begin"),
        ('{"input":5}', '{"input":5}'),
        ("", ""),
    ],
)
def test_a_model_that_forgets_the_json_around_plain_text_is_understood(arguments: str, text: str):
    [item] = whole([ToolStart(0, "a", "apply_patch"), ToolArgs(0, arguments), *DONE])["output"]
    assert item["input"] == text


@pytest.mark.parametrize(
    ("reason", "said"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_is_incomplete_and_says_why(reason: Any, said: str):
    last = events(streamed([Text("half"), Stop(reason)]))[-1]
    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": said}
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_an_answer_without_any_content_is_an_empty_message():
    last = events(streamed([Reasoning(""), Text(""), *DONE]))[-1]["response"]
    assert [content(item) for item in last["output"]] == [""]
    assert last["output"] == whole(DONE)["output"]


def test_usage_that_the_engine_left_out_is_guessed():
    usage = events(streamed([Text("twelve chars"), Stop("stop")]))[-1]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (7, 4, 11)


def test_usage_has_all_that_the_protocol_counts():
    assert whole([Text("x"), *DONE])["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 15,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (EngineDied("the engine broke off"), "server_error"),
        (Overloaded("the queue is full", retry_after=7), "rate_limit_exceeded"),
        (Overloaded("no model yet"), "server_error"),
        (ContextTooLong("too long"), "context_length_exceeded"),
        (QuotaSpent("spent"), "insufficient_quota"),
        (Forbidden("not for you"), "invalid_prompt"),
    ],
)
def test_a_failure_ends_the_stream_and_leaves_a_half_call_open(error: FlockError, code: str):
    stream = streamed([Text("t"), ToolStart(0, "a", "f"), ToolArgs(0, '{"x":'), Failure(error), Text("late")])
    last = json.loads(stream.removesuffix(b"\n\n").rpartition(b"data: ")[2])
    assert last["type"] == "response.failed"
    assert last["response"]["error"]["code"] == code
    assert [item["type"] for item in last["response"]["output"]] == ["message"]
    assert stream.count(b"event: response.output_item.done") == 1
    assert ("try again in 7s" in last["response"]["error"]["message"]) is (code == "rate_limit_exceeded")


def test_the_first_thing_to_be_said_begins_the_response_whatever_it_is():
    encoder = SURFACE.encoder(ASKED, META)
    assert kinds(encoder.keep_alive(0)) == ["created", "in_progress"]
    other = SURFACE.encoder(ASKED, META)
    assert kinds(other.feed([Progress(1, 2)])) == ["created", "in_progress"]


def test_keep_alive_repeats_that_the_response_is_in_progress_and_counts_on():
    encoder = SURFACE.encoder(ASKED, META)
    stream = encoder.feed([Text("a")]) + encoder.keep_alive(10) + encoder.keep_alive(20)
    stream += encoder.feed([Text("b"), *DONE]) + encoder.end()
    assert [event["sequence_number"] for event in events(stream)] == list(range(12))
    assert kinds(stream).count("in_progress") == 3
    assert through_sdk(stream, stream=True).output_text == "ab"
    assert encoder.keep_alive(30) == encoder.end() == b""


def test_an_answer_that_was_folded_from_nothing_is_still_a_response():
    body = SURFACE.render(ASKED, Answer("", "", (), None, None), META)
    assert json.loads(body)["status"] == "completed"
