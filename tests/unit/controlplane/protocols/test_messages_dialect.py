"""Requests as the vendor takes them: what is read back from them is what was asked."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.anthropic_dialect import render_request
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

RECORDED = Path(__file__).resolve().parents[3] / "golden" / "clients" / "claude-code"
OLD, LAST, NEW = "claude-haiku-4-5-20251001", "claude-sonnet-4-6", "claude-opus-4-8"
HI = User((TextPart("hi"),))
TOOL = Tool("ls", "lists", msgspec.Raw(b'{"properties":{}}'))


def rendered(*messages: Message, model: str = NEW, stream: bool = False, **fields: Any) -> dict[str, Any]:
    request = Request("m", messages or (HI,), **fields)
    return json.loads(render_request(request, model=model, stream=stream))


@pytest.mark.parametrize("name", ["read-2", "parallel-2", "picture-2", "subagent-2", "haiku-1", "title-1"])
def test_a_request_of_claude_code_is_read_back_as_it_was(name: str):
    body = json.loads((RECORDED / f"{name}.json").read_bytes())["body"]
    body["messages"] = [message for message in body["messages"] if message["role"] != "system"]
    asked = MessagesSurface().request(json.dumps(body).encode())
    again = MessagesSurface().request(render_request(asked, model=body["model"], stream=asked.stream))
    assert again.messages == asked.messages
    assert [tool.name for tool in again.tools] == [tool.name for tool in asked.tools]
    for field in ("model", "stream", "max_tokens", "user", "format", "tool_choice"):
        assert getattr(again, field) == getattr(asked, field)
    assert again.dropped == ()


def test_turns_are_put_so_that_the_vendor_takes_them():
    calls = (ToolCall("functions.ls:0", "ls", ""), ToolCall("b", "ls", '{"a": '))
    thoughts = (Thought("mine"), Thought("hm", "c2ln"), Thought("", "ZGF0YQ", redacted=True))
    body = rendered(
        *(System("a"), System("b"), HI, User((TextPart(" "), AudioPart("UklG", "wav")))),
        *(Assistant("look", thoughts, calls), System("now"), ToolResult("functions.ls:0", (TextPart("x"),))),
        *(ToolResult("b", (ImagePart("data:image/png;base64,iVBO"),), is_error=True), Assistant(" "), HI),
    )
    assert body["system"] == "a\n\nb"
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    user, assistant, results = (turn["content"] for turn in body["messages"])
    assert [block["text"] for block in user] == ["hi", "(a recording, which cannot be heard here)"]
    assert assistant == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ"},
        {"type": "text", "text": "look"},
        {"type": "tool_use", "id": "functions_ls_0", "name": "ls", "input": {}},
        {"type": "tool_use", "id": "b", "name": "ls", "input": {"_raw": '{"a": '}},
    ]
    assert results == [
        {"type": "tool_result", "tool_use_id": "functions_ls_0", "content": [{"type": "text", "text": "x"}]},
        {"type": "tool_result", "tool_use_id": "b", "content": [picture], "is_error": True},
        {"type": "text", "text": "<system>\nnow\n</system>"},
        {"type": "text", "text": "hi"},
    ]


@pytest.mark.parametrize(
    ("choice", "parallel", "rendered_as"),
    [
        (None, None, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", True, {"type": "auto", "disable_parallel_tool_use": False}),
        ("required", None, {"type": "any"}),
        ("none", False, {"type": "none"}),
        (Named("ls"), False, {"type": "tool", "name": "ls", "disable_parallel_tool_use": True}),
    ],
)
def test_tools_and_their_choice_are_rendered(choice: Any, parallel: bool | None, rendered_as: Any):
    body = rendered(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)
    schema = {"properties": {}, "type": "object"}
    assert body["tools"] == [{"name": "ls", "description": "lists", "input_schema": schema}]
    assert body.get("tool_choice") == rendered_as


@pytest.mark.parametrize(
    ("model", "limit"),
    [("claude-3-haiku-20240307", 4096), (OLD, 32000), ("eu.anthropic.claude-sonnet-5-v1:0", 32000)],
)
def test_an_answer_has_a_limit_even_when_the_client_set_none(model: str, limit: int):
    assert rendered(model=model)["max_tokens"] == limit
    assert rendered(model=model, max_tokens=5)["max_tokens"] == 5


@pytest.mark.parametrize(
    ("model", "taken"), [(OLD, True), (LAST, True), (NEW, False), ("claude-fable-5", False)]
)
def test_sampling_goes_to_models_that_take_it(model: str, taken: bool):
    body = rendered(model=model, temperature=1.5, top_p=0.5, top_k=3, stop=("END", "\n"))
    sampling = {key: body[key] for key in ("temperature", "top_p", "top_k") if key in body}
    assert sampling == ({"temperature": 1.0, "top_k": 3} if taken else {})
    assert body["stop_sequences"] == ["END"]


@pytest.mark.parametrize(
    ("model", "thinking", "said"),
    [
        (OLD, Thinking(), {}),
        (OLD, Thinking(False), {}),
        (OLD, Thinking(True, 2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (OLD, Thinking(True, 99999), {"thinking": {"type": "enabled", "budget_tokens": 8999}}),
        (OLD, Thinking(True, 10), {}),
        (OLD, Thinking(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (OLD, Thinking(effort="none"), {}),
        (LAST, Thinking(True, 2000), {"thinking": {"type": "adaptive"}}),
        (
            NEW,
            Thinking(effort="minimal"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
        (NEW, Thinking(False), {}),
        ("claude-sonnet-5", Thinking(False), {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5", Thinking(), {}),
    ],
)
def test_thinking_is_asked_for_as_the_models_family_knows_it(
    model: str, thinking: Thinking, said: dict[str, Any]
):
    body = rendered(model=model, thinking=thinking, max_tokens=9000, temperature=0.5)
    assert {key: body[key] for key in ("thinking", "output_config") if key in body} == said
    assert ("temperature" in body) == (model in (OLD, LAST) and "thinking" not in said)


def test_thoughts_that_another_vendor_has_signed_stay_behind():
    foreign = (Thought("hm", "gemini:c2ln"), Thought("", "gemini:c2ln", redacted=True))
    foreign += (Thought("", "gAAAAABpIAAAvEyUXV-9yMdL5P2AbXu3J6NKJSfG527e", redacted=True),)
    body = rendered(
        HI,
        Assistant(thoughts=foreign, calls=(ToolCall("1", "ls", "{}"),)),
        model=OLD,
        thinking=Thinking(True),
    )
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]
    assert "thinking" not in body


def test_a_loop_of_tools_that_another_model_began_goes_on_without_thinking():
    loop = (HI, Assistant("", (Thought("mine"),), (ToolCall("a", "ls", "{}"),)), ToolResult("a", ()))
    assert "thinking" not in rendered(*loop, model=OLD, thinking=Thinking(True, 2000))
    assert "thinking" in rendered(*loop, HI, model=OLD, thinking=Thinking(True, 2000))


def test_the_form_of_an_answer_is_asked_for():
    schema = msgspec.Raw(b'{"type":"object"}')
    body = rendered(format=JsonFormat(schema), thinking=Thinking(effort="high"), stream=True)
    assert body["output_config"] == {
        "effort": "high",
        "format": {"type": "json_schema", "schema": {"type": "object"}},
    }
    assert body["stream"] is True and "system" not in body
    assert "JSON object" in rendered(format=JsonFormat())["system"]
