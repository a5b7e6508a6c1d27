"""Neutral requests as bodies that chat-only engines and their templates take."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.anthropic import MessagesSurface, read_count_request
from controlplane.protocols.chat_dialect import render_request
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
    JsonFormat,
    Message,
    Named,
    Request,
    System,
    TextPart,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    User,
)
from controlplane.protocols.responses import ResponsesSurface
from tests.simulators.strict_rules import complaints

SCHEMA = msgspec.Raw(b'{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}')
HI = User((TextPart("hi"),))
CALL = Assistant(calls=(ToolCall("c1", "read", "{}"),))
PICTURE = ImagePart("data:image/png;base64,AA==")


def text(words: str) -> tuple[TextPart]:
    return (TextPart(words),)


def body(request: Request, **options: Any) -> dict[str, Any]:
    return msgspec.json.decode(render_request(request, **({"model": "tiny", "stream": False} | options)))


def messages(*given: Message, **options: Any) -> list[dict[str, Any]]:
    return body(Request("m", given), **options)["messages"]


def test_a_plain_request_says_no_more_than_it_must():
    assert body(Request("claude-x", (HI,))) == {
        "model": "tiny",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": False,
    }


def test_a_stream_asks_for_its_usage():
    streamed = body(Request("m", (HI,)), stream=True)
    assert (streamed["stream"], streamed["stream_options"]) == (True, {"include_usage": True})


def test_instructions_at_the_head_become_one_message():
    assert messages(System("a"), System("b"), HI) == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "hi"},
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((HI, System("s"), Assistant("ok")), [("user", "hi\ns"), ("assistant", "ok")]),
        ((HI, System("s")), [("user", "hi\ns")]),
        ((HI, Assistant("ok"), System("s"), HI), [("user", "hi"), ("assistant", "ok"), ("user", "s\nhi")]),
        ((HI, Assistant("ok"), System("s")), [("user", "hi"), ("assistant", "ok"), ("user", "s")]),
        (
            (HI, CALL, System("s"), ToolResult("c1", (TextPart("r"),)), Assistant("ok")),
            [("user", "hi"), ("assistant", ""), ("tool", "r"), ("user", "s"), ("assistant", "ok")],
        ),
    ],
    ids=[
        "into the turn before",
        "at the end",
        "into the turn after",
        "alone",
        "never between call and result",
    ],
)
def test_later_instructions_go_into_a_users_turn(given: tuple[Message, ...], expected: list[Any]):
    assert [(turn["role"], turn["content"]) for turn in messages(*given)] == expected


@pytest.mark.parametrize("more", [(), (Assistant("ok"), HI)])
def test_folding_is_the_same_when_the_conversation_goes_on(more: tuple[Message, ...]):
    """Else the engine's prefix cache is lost at each turn."""
    before = messages(HI, System("s"))
    assert messages(HI, System("s"), *more)[: len(before)] == before


def test_two_turns_of_a_user_stay_two():
    assert len(messages(HI, HI)) == 2


def test_texts_are_joined_and_other_parts_make_a_list():
    assert messages(User((TextPart("a"), TextPart("b"))))[0]["content"] == "a\nb"
    parts = User((TextPart("a"), ImagePart("http://x/y.png", "low"), AudioPart("UklGRg==", "wav")))
    assert messages(parts)[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "http://x/y.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]


def test_images_of_tool_results_move_into_the_users_turn_behind_them():
    calls = Assistant("", (), (ToolCall("c1", "read", "{}"), ToolCall("c2", "read", "{}")))
    results = ToolResult("c1", (TextPart("a.png"), PICTURE)), ToolResult("c2", (PICTURE,))
    turns = messages(HI, calls, *results, HI)
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "tool", "user"]
    assert turns[2]["content"] == "a.png\n(attached to the next message)"
    assert turns[3]["content"] == "(attached to the next message)"
    assert [part["type"] for part in turns[4]["content"]] == [
        "text",
        "image_url",
        "text",
        "image_url",
        "text",
    ]
    assert "c2" in turns[4]["content"][2]["text"]
    assert turns[4]["content"][4]["text"] == "hi"
    assert [turn["role"] for turn in messages(HI, calls, *results)] == [turn["role"] for turn in turns]


def test_a_call_without_a_result_is_told_so_and_a_result_without_a_call_is_not_lost():
    two = Assistant("", (), (ToolCall("c1", "f", "{}"), ToolCall("c2", "f", "{}")))
    turns = messages(
        HI, two, ToolResult("c2", text("b")), HI, ToolResult("c1", text("late")), Assistant("ok"), CALL
    )
    assert [(turn["role"], turn.get("tool_call_id"), turn["content"]) for turn in turns] == [
        ("user", None, "hi"),
        ("assistant", None, ""),
        ("tool", "c2", "b"),
        ("tool", "c1", "(no result)"),
        ("user", None, "hi\n(the tool result c1)\nlate"),
        ("assistant", None, "ok"),
        ("assistant", None, ""),
        ("tool", "c1", "(no result)"),
    ]


def test_instructions_alone_are_a_user_s_turn():
    assert messages(System("a")) == [{"role": "user", "content": "a"}]
    assert messages(System("a"), System("b"))[1] == {"role": "user", "content": "b"}


def test_a_failed_result_says_that_it_failed():
    assert messages(HI, CALL, ToolResult("c1", (TextPart("42"),), True))[-1]["content"] == "Error: 42"
    told = ToolResult("c1", (TextPart("<error>no</error>"),), True)
    assert messages(HI, CALL, told)[-1]["content"] == "<error>no</error>"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ("", "{}"),
        (" \n", "{}"),
        ('{"a": ', '{"arguments":"{\\"a\\": "}'),
        ("[1]", '{"arguments":"[1]"}'),
    ],
)
def test_arguments_of_earlier_calls_are_an_object(arguments: str, expected: str):
    turn = messages(HI, Assistant("t", (), (ToolCall("c1", "f", arguments),)))[1]
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": expected}}
    assert turn == {"role": "assistant", "content": "t", "tool_calls": [call]}


def test_reasoning_of_earlier_turns_goes_along_only_where_asked():
    thoughts = Thought("hm"), Thought("", "c2lnbmVk", True), Thought("so")
    turn = Assistant("ok", thoughts)
    assert "reasoning_content" not in messages(HI, turn)[1]
    assert messages(HI, turn, thoughts=True)[1]["reasoning_content"] == "hm\nso"


def test_tools_keep_their_schema_to_the_byte():
    request = Request("m", (HI,), tools=(Tool("f", "does", SCHEMA, strict=False),), tool_choice=Named("f"))
    rendered = render_request(request, model="m", stream=False)
    assert b'"parameters":' + bytes(SCHEMA) in rendered
    read = body(msgspec.structs.replace(request, parallel_tool_calls=False))
    assert read["tools"][0]["type"] == "function" and read["tools"][0]["function"]["strict"] is False
    assert read["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert read["parallel_tool_calls"] is False


def test_without_tools_nothing_is_said_of_choosing_them():
    rendered = body(Request("m", (HI,), tool_choice="auto", parallel_tool_calls=True))
    assert not rendered.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_the_rest_goes_by_the_names_of_chat_completions():
    request = Request(
        "m",
        (HI,),
        max_tokens=5,
        temperature=0.0,
        top_p=0.5,
        top_k=3,
        seed=0,
        stop=("###",),
        format=JsonFormat(SCHEMA, "a", True),
        user="u",
    )
    rendered = body(request)
    assert rendered.pop("response_format") == {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": msgspec.json.decode(SCHEMA), "strict": True},
    }
    sampling = {"max_tokens": 5, "temperature": 0.0, "top_p": 0.5, "top_k": 3, "seed": 0, "stop": ["###"]}
    assert rendered | sampling | {"user": "u"} == rendered
    assert body(Request("m", (HI,), format=JsonFormat()))["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("thinking", "said"),
    [
        (Thinking(), {}),
        (Thinking(enabled=True, budget_tokens=31999), {}),
        (Thinking(enabled=False, effort="high"), {"chat_template_kwargs": {"enable_thinking": False}}),
        (Thinking(effort="none"), {"chat_template_kwargs": {"enable_thinking": False}}),
        (Thinking(effort="minimal"), {"reasoning_effort": "low"}),
        (Thinking(effort="medium"), {"reasoning_effort": "medium"}),
        (Thinking(enabled=True, effort="max"), {"reasoning_effort": "high"}),
        (Thinking(effort="enormous"), {}),
    ],
)
def test_thinking_is_spoken_of_only_when_the_client_did(thinking: Thinking, said: dict[str, Any]):
    rendered = body(Request("m", (HI,), thinking=thinking))
    assert {k: rendered[k] for k in rendered.keys() & {"chat_template_kwargs", "reasoning_effort"}} == said


_SURFACES: dict[str, Callable[[bytes], Request]] = {
    "/v1/chat/completions": TranslatedChat().request,
    "/v1/messages": MessagesSurface().request,
    "/v1/messages/count_tokens": read_count_request,
    "/v1/responses": ResponsesSurface().request,
}
_RECORDED = sorted((Path(__file__).resolve().parents[3] / "golden" / "clients").glob("*/*.json"))


@pytest.mark.parametrize("path", _RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_any_real_client_sends_pleases_an_engine_that_forgives_nothing(path: Path):
    recorded = msgspec.json.decode(path.read_bytes())
    read = _SURFACES[recorded["path"].partition("?")[0]]
    request = read(msgspec.json.encode(recorded["body"]))
    for thoughts in (False, True):
        rendered = body(request, stream=request.stream, thoughts=thoughts)
        for turn in rendered["messages"]:
            turn.pop("reasoning_content", None)
        assert complaints(rendered) == []


_parts = st.lists(st.sampled_from([TextPart("t"), PICTURE]), min_size=1, max_size=2).map(tuple)
_ids = st.sampled_from(["c1", "c2", "c3"])
_texts = st.sampled_from(["", "a", "b\nc", "🎉"])
_calls = st.lists(
    st.builds(ToolCall, _ids, st.just("f"), st.sampled_from(["", "{}", '{"a":1}', "no"])),
    max_size=2,
    unique_by=lambda call: call.id,
)
_any_messages = st.lists(
    st.one_of(
        st.builds(System, _texts),
        st.builds(User, _parts),
        st.builds(lambda words, calls: Assistant(words, (), tuple(calls)), _texts, _calls),
        st.builds(ToolResult, _ids, _parts, st.booleans()),
    ),
    max_size=8,
)


@given(_any_messages)
def test_whatever_the_order_it_pleases_an_engine_that_forgives_nothing(given: list[Any]):
    turns = messages(*given, HI)
    assert complaints({"model": "m", "messages": turns}) == []
    images = [part for m in given if isinstance(m, User | ToolResult) for part in m.parts if part == PICTURE]
    assert msgspec.json.encode(turns).count(b'"image_url":{') == len(images)


@given(_any_messages, st.sampled_from([None, "auto", Named("f")]), st.sampled_from([None, "high", "none"]))
def test_what_is_rendered_reads_as_what_renders_the_same(given: list[Any], choice: Any, effort: str | None):
    tools = (Tool("f", "does", msgspec.Raw(b'{"type":"object"}')),)
    request = Request("m", (*given, HI), tools=tools, tool_choice=choice, thinking=Thinking(effort=effort))
    rendered = render_request(request, model="m", stream=True, thoughts=True)
    again = TranslatedChat().request(rendered)
    assert render_request(again, model="m", stream=again.stream, thoughts=True) == rendered
    assert again.dropped == ()
