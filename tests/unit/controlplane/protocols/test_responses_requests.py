"""What a Responses request becomes: every shape that clients send is taken, and what is lost is named."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
    JsonFormat,
    Message,
    Meta,
    System,
    TextPart,
    Thinking,
    Thought,
    ToolCall,
    ToolResult,
    User,
    fold,
)
from flockpy.errors import BadRequest
from tests.unit.controlplane.protocols.deltas import answers
from tests.unit.controlplane.protocols.responses_asked import (
    FILES,
    PATCH,
    PICTURE,
    READ,
    SURFACE,
    call,
    output,
    read,
    refusal,
    said,
    user,
)

_NAMES = ("type", "role", "content", "name", "output", "tools", "x")
HI = User((TextPart("hi"),))
SHAPES: list[tuple[Any, tuple[Message, ...]]] = [
    ("hi", (HI,)),
    ([{"role": "user", "content": "hi"}], (HI,)),
    ([user({"type": "input_text", "text": "hi"})], (HI,)),
    ([{"role": "developer", "content": "obey"}], (System("obey"),)),
    ([{"role": "system", "content": [{"type": "input_text", "text": "a"}] * 2}], (System("a\n\na"),)),
    (
        [user({"type": "input_image", "image_url": PICTURE, "detail": "low"})],
        (User((ImagePart(PICTURE, "low"),)),),
    ),
    (
        [user({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}})],
        (User((AudioPart("AA", "wav"),)),),
    ),
    (
        [{"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]}],
        (Assistant("a"),),
    ),
    ([{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}], (Assistant("no"),)),
    (
        [
            {
                "type": "reasoning",
                "id": "rs",
                "summary": [{"type": "summary_text", "text": "s"}],
                "content": None,
            }
        ],
        (Assistant(thoughts=(Thought("s"),)),),
    ),
    (
        [
            {
                "type": "reasoning",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "t"}],
                "encrypted_content": "sig",
            }
        ],
        (Assistant(thoughts=(Thought("t", "sig"),)),),
    ),
    (
        [{"type": "reasoning", "summary": [], "encrypted_content": "sig"}],
        (Assistant(thoughts=(Thought("", "sig", redacted=True),)),),
    ),
    (
        [{"type": "reasoning", "summary": [], "encrypted_content": None}, {"role": "user", "content": "hi"}],
        (HI,),
    ),
    ([output("c", "done")], (ToolResult("c", (TextPart("done"),)),)),
    (
        [output("c", [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": PICTURE}])],
        (ToolResult("c", (TextPart("a"), ImagePart(PICTURE))),),
    ),
    ([output("c", {"content": "bad", "success": False})], (ToolResult("c", (TextPart("bad"),), True),)),
    ([output("c", None)], (ToolResult("c", ()),)),
    (
        [{"type": "custom_tool_call", "call_id": "c", "name": "apply_patch", "input": "a\nb"}],
        (Assistant(calls=(ToolCall("c", "apply_patch", '{"input":"a\\nb"}'),)),),
    ),
    (
        [{"type": "custom_tool_call_output", "call_id": "c", "output": "ok"}],
        (ToolResult("c", (TextPart("ok"),)),),
    ),
    (
        [{"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["ls"]}}],
        (Assistant(calls=(ToolCall("c", "local_shell", '{"type": "exec", "command": ["ls"]}'),)),),
    ),
    ([{"type": "local_shell_call_output", "id": "c", "output": "a"}], (ToolResult("c", (TextPart("a"),)),)),
    (
        [{"type": "shell_call_output", "call_id": "c", "output": [{"stdout": "a"}]}],
        (ToolResult("c", (TextPart('[{"stdout": "a"}]'),)),),
    ),
]


@pytest.mark.parametrize(("items", "messages"), SHAPES)
def test_every_shape_of_input_is_taken(items: Any, messages: tuple[Message, ...]):
    request = read(input=items)
    assert request.messages == messages
    assert request.dropped == ()


def test_the_row_of_items_of_one_turn_is_one_message():
    assert said(
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "t"}]},
        {"role": "assistant", "content": "I look."},
        call("a"),
        call("b"),
        output("a", "1"),
        output("b", "2"),
        {"role": "assistant", "content": "Two"},
        {"role": "assistant", "content": "texts"},
    ) == (
        HI,
        Assistant("I look.", (Thought("t"),), (ToolCall("a", "read", "{}"), ToolCall("b", "read", "{}"))),
        ToolResult("a", (TextPart("1"),)),
        ToolResult("b", (TextPart("2"),)),
        Assistant("Two\n\ntexts"),
    )


def test_instructions_stand_before_the_conversation():
    assert read(instructions="obey").messages == (System("obey"), HI)


TEXT = {"type": "input_text", "text": "a"}
A = {"role": "user", "content": "a"}
A_SYSTEM_PICTURE = {"role": "system", "content": [{"type": "input_image", "image_url": PICTURE}]}
DROPPED: list[tuple[dict[str, Any], str]] = [
    ({"input": [A, {"type": "web_search_call", "id": "w"}]}, "input[1].web_search_call"),
    ({"input": [{"type": "compaction", "encrypted_content": "x"}, A]}, "input[0].compaction"),
    ({"input": [user(TEXT, {"type": "input_file", "file_id": "f"})]}, "input[0].content[1].input_file"),
    ({"input": [user(TEXT, {"type": "input_image", "file_id": "f"})]}, "input[0].content[1].input_image"),
    (
        {"input": [A, {"type": "item_reference", "id": "rs"}, call("c"), output("c", "1")]},
        "input[1].item_reference",
    ),
    ({"input": [A_SYSTEM_PICTURE, A]}, "input[0].content.input_image"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].web_search"),
    ({"tools": [READ, {"type": "tool_search", "execution": "client"}]}, "tools[1].tool_search"),
    ({"tools": [{"type": "image_generation", "name": "x"}]}, "tools[0].image_generation"),
    ({"tools": [{"type": "local_shell"}]}, "tools[0].local_shell"),
    ({"tools": [{"type": "mcp", "server_label": "s"}]}, "tools[0].mcp"),
    ({"tools": [FILES | {"description": "About files."}]}, "tools[0].description"),
    ({"tools": [READ, READ]}, "tools[1].read"),
    ({"tools": [READ], "tool_choice": {"type": "web_search_preview"}}, "tool_choice.web_search_preview"),
    ({"tools": [], "tool_choice": "required"}, "tool_choice"),
    ({"text": {"verbosity": "low"}}, "text.verbosity"),
    ({"include": ["reasoning.encrypted_content", "message.output_text.logprobs"]}, "include[1]"),
    ({"store": True}, "store"),
    ({"truncation": "auto"}, "truncation"),
    ({"metadata": {"a": "b"}}, "metadata"),
    ({"top_logprobs": 3}, "top_logprobs"),
    ({"brand_new": {"x": 1}}, "brand_new"),
]


@pytest.mark.parametrize(("body", "name"), DROPPED)
def test_what_is_not_carried_over_is_named(body: dict[str, Any], name: str):
    assert read(**body).dropped == (name,)


def test_what_means_nothing_here_is_accepted_without_a_word():
    request = read(
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        client_metadata={"a": "b"},
        metadata=None,
        truncation="disabled",
        reasoning={},
        text={"format": {"type": "text"}},
        previous_response_id=None,
        background=False,
        service_tier="auto",
        top_logprobs=None,
    )
    assert request == read()


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ({"conversation": "conv_1"}, "conversation"),
    ({"conversation": {"id": "conv_1"}}, "conversation"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt"),
    ({"background": True}, "background"),
    ({"input": None}, "input"),
    ({"input": []}, "input"),
    ({"input": 5}, "input"),
    ({"input": [5]}, "input[0]"),
    ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ({"input": [{"id": "msg_1"}]}, "input[0]"),
    ({"input": [A, call("c"), output("c", "1"), {"type": "item_reference", "id": "msg_1"}, A]}, "input[3]"),
    ({"input": [{"type": "compaction"}]}, "input"),
    ({"input": [user()]}, "input"),
    ({"input": [{"type": "reasoning", "summary": []}]}, "input"),
    ({"input": [{"role": "user", "content": 5}]}, "input[0].content"),
    ({"input": [{"role": "nobody", "content": "a"}]}, "input[0].role"),
    ({"input": [{"type": "message", "content": "a"}]}, "input[0].role"),
    ({"input": [user({"type": "input_text"})]}, "input[0].content[0].text"),
    ({"input": [user({"text": "a"})]}, "input[0].content[0].type"),
    ({"input": [call("a") | {"arguments": {}}]}, "input[0].arguments"),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
    ({"input": [{"type": "function_call_output", "output": "f"}]}, "input[0].call_id"),
    ({"input": [{"type": "local_shell_call", "action": {}}]}, "input[0].call_id"),
    ({"input": [output("c", [{"type": "input_text"}])]}, "input[0].output[0].text"),
    ({"tools": {}}, "tools"),
    ({"tools": [{"name": "f"}]}, "tools[0].type"),
    ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
    (
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]},
        "tools[0].tools[0].name",
    ),
    ({"tools": [READ], "tool_choice": "sometimes"}, "tool_choice"),
    ({"tools": [READ], "tool_choice": {"type": "function", "name": "write"}}, "tool_choice.name"),
    ({"text": {"format": {"type": "yaml"}}}, "text.format.type"),
    ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"temperature": "hot"}, "temperature"),
    ({"stream": "yes"}, "stream"),
    ({"instructions": ["a"]}, "instructions"),
]


@pytest.mark.parametrize(("body", "field"), REFUSED)
def test_a_body_that_cannot_be_answered_is_refused_by_its_field(body: dict[str, Any], field: str):
    error = refusal(**body)
    assert (error.field, SURFACE.status(error)) == (field, 400)
    assert error.message.startswith(field)
    told = json.loads(SURFACE.error(error))["error"]
    assert (told["param"], told["code"]) == (field, "invalid_request_error")


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt"])
def test_what_needs_a_memory_is_refused_with_what_to_do_instead(name: str):
    error = refusal(**{name: "x_1"})
    assert "stateless" in error.message
    assert error.hint == "send the whole conversation in input"


def test_plain_fields_are_carried_over():
    request = read(
        stream=True,
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        tools=[READ],
        tool_choice="required",
        reasoning={"effort": "high", "summary": "auto"},
        user="u",
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
    )
    assert (request.stream, request.max_tokens, request.temperature, request.top_p) == (True, 9, 0.5, 0.9)
    assert (request.parallel_tool_calls, request.tool_choice, request.user) == (False, "required", "u")
    assert request.thinking == Thinking(effort="high", summary=True)
    assert request.format == JsonFormat(msgspec.Raw(b'{"type": "object"}'), "n", True)
    assert read(text={"format": {"type": "json_object"}}).format == JsonFormat()
    assert read(reasoning={"effort": "none"}).thinking == Thinking(enabled=False)
    assert read(safety_identifier="s").user == "s"


@settings(max_examples=40)
@given(answers(signed=True))
def test_an_answer_sent_back_as_it_came_is_the_turn_that_it_was(deltas: list[Any]):
    answer = fold(deltas)
    first = read(tools=[FILES, PATCH, {"type": "function", "name": "a"}])
    items = json.loads(SURFACE.render(first, answer, Meta("9f", "m", 1)))["output"]
    turns = said(*items, tools=[FILES, PATCH, {"type": "function", "name": "a"}])
    thoughts = (Thought(answer.reasoning, answer.signature, not answer.reasoning),)
    known = thoughts if answer.reasoning or answer.signature else ()
    assert turns in ((Assistant(answer.text, known, answer.calls),), ())


_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(_NAMES), inner),
    max_leaves=8,
)


@settings(max_examples=60)
@given(_anything)
def test_whatever_stands_in_a_body_is_taken_or_refused_by_name(value: Any):
    for body in (
        {"input": value},
        {"input": [value]},
        {"tools": [value]},
        {"text": value},
        {"tool_choice": value},
    ):
        try:
            read(**body)
        except BadRequest as error:
            assert error.field
