"""Neutral requests as bodies that chat-only engines and their templates take."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.chat_dialect import render_request
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

SCHEMA = msgspec.Raw(b'{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}')
HI = User((TextPart("hi"),))
PICTURE = ImagePart("data:image/png;base64,AA==")
CALL = Assistant(calls=(ToolCall("c1", "read", "{}"),))


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
        (Thinking(effort="minimal"), {"reasoning_effort": "low"}),
        (Thinking(effort="medium"), {"reasoning_effort": "medium"}),
        (Thinking(enabled=True, effort="max"), {"reasoning_effort": "high"}),
        (Thinking(effort="enormous"), {}),
    ],
)
def test_thinking_is_spoken_of_only_when_the_client_did(thinking: Thinking, said: dict[str, Any]):
    rendered = body(Request("m", (HI,), thinking=thinking))
    assert {k: rendered[k] for k in rendered.keys() & {"chat_template_kwargs", "reasoning_effort"}} == said


_PARTS = st.sampled_from([TextPart("t"), PICTURE])
_MESSAGES = st.one_of(
    st.just(System("s")),
    st.builds(User, st.lists(_PARTS, max_size=2).map(tuple)),
    st.just(Assistant("a")),
    st.builds(
        lambda parts: (CALL, ToolResult("c1", tuple(parts))),
        st.lists(_PARTS, max_size=2),
    ),
)


@given(st.lists(_MESSAGES, max_size=8))
def test_whatever_the_order_templates_can_take_it_and_nothing_is_lost(given: list[Any]):
    flat = [message for item in given for message in (item if isinstance(item, tuple) else (item,))]
    turns = messages(*flat)
    assert all(turn["role"] != "system" for turn in turns[1:])
    for before, turn in zip([None, *turns], turns, strict=False):
        if turn["role"] == "tool":
            assert before is not None and before["role"] == "assistant" and isinstance(turn["content"], str)
    rendered = msgspec.json.encode(turns).decode()
    images = sum(
        isinstance(part, ImagePart) for m in flat if isinstance(m, User | ToolResult) for part in m.parts
    )
    assert rendered.count('"image_url":{') == images
