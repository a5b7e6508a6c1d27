"""What clients of chat/completions send, as neutral requests."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.protocols.chat_dialect import render_request
from controlplane.protocols.chat_request import request
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
    ToolCall,
    ToolResult,
    User,
)
from flockpy.errors import BadRequest

RECORDED = [
    path
    for path in sorted((Path(__file__).resolve().parents[3] / "golden" / "clients").glob("*/*.json"))
    if b'"/v1/chat/completions' in path.read_bytes()
]
HI = {"role": "user", "content": "hi"}
TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "does", "parameters": {"type": "object"}},
}


def read(**fields: Any) -> Request:
    return request(msgspec.json.encode({"model": "m", "messages": [HI]} | fields))


def said(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return read(messages=messages).messages


def text(words: str) -> tuple[TextPart]:
    return (TextPart(words),)


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_have_two_names_and_may_be_lists(role: str):
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert said({"role": role, "content": "a"}, HI, {"role": role, "content": parts}) == (
        *(System("a"), User(text("hi")), System("a\nb")),
    )


def test_contents_come_as_texts_and_as_lists_of_parts():
    parts = [
        "plain",
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "image_url", "image_url": "http://x/y.png"},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]
    (user,) = said({"role": "user", "content": parts})
    assert user == User(
        (
            *(TextPart("plain"), TextPart("a"), ImagePart("data:image/png;base64,AA==", "low")),
            *(ImagePart("http://x/y.png"), AudioPart("UklGRg==", "wav")),
        )
    )


def test_calls_and_results_keep_their_ids():
    calls = [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": '}},
        {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "*** x"}},
        {"id": "c3", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}},
    ]
    result = {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]}
    answer = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": calls}
    _, assistant, answered = said(HI, answer, result)
    made = (
        ToolCall("c1", "f", '{"a": '),
        ToolCall("c2", "patch", '{"input":"*** x"}'),
        ToolCall("c3", "f", '{"a":1}'),
    )
    assert assistant == Assistant("", (Thought("hm"),), made)
    assert answered == ToolResult("c1", text("r"))


def test_results_without_an_id_answer_the_calls_in_their_order():
    calls = [{"function": {"name": "f"}}, {"id": "c9", "function": {"name": "g"}}]
    answer = {"role": "assistant", "tool_calls": calls}
    _, assistant, first, second = said(HI, answer, {"role": "tool", "content": "1"}, {"role": "tool"})
    assert isinstance(assistant, Assistant) and isinstance(first, ToolResult)
    assert first.call_id == assistant.calls[0].id != ""
    assert second == ToolResult("c9", ())


def test_functions_of_old_become_tools():
    answer = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    result = {"role": "function", "name": "f", "content": "r"}
    old = read(functions=[TOOL["function"]], function_call={"name": "f"}, messages=[HI, answer, result])
    assert [tool.name for tool in old.tools] == ["f"] and old.tool_choice == Named("f")
    _, assistant, answered = old.messages
    assert isinstance(assistant, Assistant) and isinstance(answered, ToolResult)
    assert assistant.calls[0].id == answered.call_id
    assert old.dropped == ()


def test_a_refusal_is_what_was_said():
    assert said(HI, {"role": "assistant", "refusal": "no"})[1] == Assistant("no")
    assert said(HI, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]})[1] == Assistant(
        "no"
    )


def test_schemas_of_tools_pass_whole():
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "additionalProperties": False, "x": [1]}
    (tool, bare) = read(
        tools=[
            {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}},
            {"function": {"name": "g"}},
        ]
    ).tools
    assert msgspec.json.decode(tool.parameters) == schema and tool.strict
    assert msgspec.json.decode(bare.parameters) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("choice", "meant"),
    [
        ("auto", "auto"),
        ("any", "required"),
        ({"type": "function", "function": {"name": "f"}}, Named("f")),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{}]}}, "required"),
        ({"type": "web_search"}, None),
        (None, None),
    ],
)
def test_the_choice_of_tools(choice: Any, meant: Any):
    assert read(tools=[TOOL], tool_choice=choice).tool_choice == meant


def test_a_choice_without_tools_is_none():
    assert read(tool_choice="auto").tool_choice is None


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, JsonFormat()),
        ({"type": "json_object", "schema": {"a": 1}}, JsonFormat(msgspec.Raw(b'{"a":1}'))),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True}},
            JsonFormat(msgspec.Raw(b'{"a":1}'), "n", True),
        ),
    ],
)
def test_the_format_of_the_answer(wanted: Any, meant: JsonFormat | None):
    assert read(response_format=wanted).format == meant


@pytest.mark.parametrize(
    ("fields", "meant"),
    [
        ({"reasoning_effort": "high"}, Thinking(effort="high")),
        ({"reasoning_effort": "none"}, Thinking(enabled=False)),
        ({"chat_template_kwargs": {"enable_thinking": False, "other": 1}}, Thinking(enabled=False)),
        ({}, Thinking()),
    ],
)
def test_how_much_reasoning_is_wanted(fields: dict[str, Any], meant: Thinking):
    assert read(**fields).thinking == meant


def test_the_rest_is_read_by_its_names():
    made = read(
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=7,
        max_completion_tokens=5,
        temperature=1,
        top_p=0.5,
        top_k=3,
        seed=4,
        stop="###",
        user="u",
        parallel_tool_calls=False,
    )
    assert (made.stream, made.wants_usage, made.max_tokens) == (True, True, 5)
    assert (made.temperature, made.top_p, made.top_k, made.seed) == (1.0, 0.5, 3, 4)
    assert (made.stop, made.user, made.parallel_tool_calls) == (("###",), "u", False)
    assert not read(stream=True).wants_usage


def test_what_is_not_carried_over_is_named():
    made = read(
        messages=[
            {
                "role": "user",
                "name": "ann",
                "content": [{"type": "file", "file": {}}, {"type": "text", "text": "a"}],
            }
        ],
        tools=[TOOL, {"type": "web_search"}],
        n=1,
        store=False,
        logprobs=True,
        metadata={"a": "b"},
        response_format={"type": "grammar"},
    )
    assert set(made.dropped) == {
        *("logprobs", "metadata", "response_format.grammar"),
        *("messages[0].name", "messages[0].content[0].file", "tools[1].web_search"),
    }
    assert made.messages == (User(text("a")),)
    assert read(n=2).dropped == ("n",)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [HI, {"role": "user", "content": 5}]}, "messages[1].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages[0].content[0].image_url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "messages[0].tool_calls[0].function"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [TOOL], "tool_choice": "perhaps"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice.function.name"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
    ],
)
def test_what_nothing_can_stand_in_for_is_refused_by_name(fields: dict[str, Any], field: str):
    with pytest.raises(BadRequest) as refused:
        read(**fields)
    assert refused.value.field == field
    assert field.rpartition(".")[2] in refused.value.message


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_real_clients_send_is_taken_and_comes_out_again(path: Path):
    recorded = msgspec.json.decode(path.read_bytes())
    made = request(msgspec.json.encode(recorded["body"]))
    rendered = msgspec.json.decode(render_request(made, model=made.model, stream=made.stream, thoughts=True))
    assert len(rendered.get("tools", [])) == len(recorded["body"].get("tools", []))
    again = request(msgspec.json.encode(rendered))
    assert msgspec.json.encode(again.tools) == msgspec.json.encode(made.tools)
    assert [type(message) for message in again.messages] == [type(message) for message in made.messages]
