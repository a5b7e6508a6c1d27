"""Requests as OpenAI takes them: its simulator has nothing to refuse, and what is read back is what was asked."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.protocols.anthropic import MessagesSurface
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
from controlplane.protocols.responses_dialect import render_request, sent_name
from tests.simulators.openai_models import encrypted
from tests.simulators.openai_rules import refusals

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
HI = User((TextPart("hi"),))
TOOL = Tool("ls", "lists", msgspec.Raw(b"{}"))
PICTURE = "data:image/png;base64,iVBO"
OURS = encrypted("known")
MODELS = ("gpt-6-sol", "gpt-5.5", "gpt-5.5-pro", "gpt-5.2", "gpt-5.1-codex", "gpt-5", "gpt-5-chat-latest")
ALL = (*MODELS, "gpt-4o", "o3", "o4-mini", "codex-mini-latest")


def rendered(
    *messages: Message, model: str = "gpt-5.5", stream: bool = False, **fields: Any
) -> dict[str, Any]:
    body = json.loads(render_request(Request("m", messages or (HI,), **fields), model=model, stream=stream))
    assert list(refusals("/v1/responses", body, {OURS: "known"})) == []
    return body


@pytest.mark.parametrize("name", ["read-2", "parallel-2", "picture-2", "subagent-2", "haiku-1", "title-1"])
@pytest.mark.parametrize("model", ["gpt-5.5", "gpt-4o"])
def test_a_request_of_claude_code_is_taken_and_means_the_same(name: str, model: str):
    recorded = json.loads((GOLDEN / "clients" / "claude-code" / f"{name}.json").read_bytes())["body"]
    asked = MessagesSurface().request(json.dumps(recorded).encode())
    body = rendered(
        *asked.messages,
        model=model,
        tools=asked.tools,
        thinking=asked.thinking,
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        format=asked.format,
        user=asked.user,
    )
    again = ResponsesSurface().request(json.dumps(body).encode())
    assert [tool.name for tool in again.tools] == [sent_name(tool.name) for tool in asked.tools]
    assert [type(message) for message in again.messages] == [type(message) for message in asked.messages]
    for now, then in zip(again.messages, asked.messages, strict=True):
        match now, then:
            case Assistant(text, _, calls), Assistant(before, _, called):
                assert text == before
                assert [call.arguments for call in calls] == [call.arguments for call in called]
            case User(parts), User(before) | (ToolResult(parts=before)):
                assert [part for part in parts if isinstance(part, TextPart)] == [
                    part for part in before if isinstance(part, TextPart) and part.text
                ]
            case _:
                pass


def test_a_conversation_is_put_so_that_the_vendor_takes_it():
    thoughts = (
        Thought("mine"),
        Thought("hm", "EuYBCkYIBxgC"),
        Thought("so", OURS),
        Thought("", OURS, redacted=True),
    )
    calls = (ToolCall("a", "ls", ""), ToolCall("b" * 90, "ls", '{"a": '), ToolCall("open", "ls", "{}"))
    body = rendered(
        *(System("Be brief."), User((TextPart("see"), ImagePart(PICTURE, "low"), AudioPart("UklG", "wav")))),
        *(Assistant("look", thoughts, calls), System("now"), ToolResult("a", (TextPart("x"),))),
        ToolResult("b" * 90, (TextPart("no such file"), ImagePart(PICTURE)), is_error=True),
        *(ToolResult("nobody's", (TextPart("y"),)), Assistant("", thoughts), Assistant("Well."), HI),
        tools=(TOOL,),
    )
    kinds = [item.get("role") or item["type"] for item in body["input"]]
    assert kinds == [
        *("developer", "user", "reasoning", "reasoning", "assistant"),
        *("function_call", "function_call", "function_call", "function_call_output"),
        *("developer", "function_call_output", "function_call_output", "user", "assistant", "user"),
    ]
    first, user, thought, hidden, said, call, long, _, aborted, _, output, failed, orphan, *_ = body["input"]
    assert first["content"] == [{"type": "input_text", "text": "Be brief."}]
    assert user["content"][1:] == [
        {"type": "input_image", "image_url": PICTURE, "detail": "low"},
        {"type": "input_text", "text": "(a recording, which cannot be heard here)"},
    ]
    summary = [{"type": "summary_text", "text": "so"}]
    assert thought == {"type": "reasoning", "summary": summary, "encrypted_content": OURS}
    assert hidden["summary"] == []
    assert said["content"] == [{"type": "output_text", "text": "look", "annotations": []}]
    assert call == {"type": "function_call", "call_id": "a", "name": "ls", "arguments": "{}"}
    assert len(long["call_id"]) == 64 and long["call_id"] == failed["call_id"]
    assert (aborted["call_id"], aborted["output"], output["output"]) == ("open", "(aborted)", "x")
    assert [part.get("text", part["type"]) for part in failed["output"]] == [
        "Error:",
        "no such file",
        "input_image",
    ]
    assert [part["text"] for part in orphan["content"]] == ["(what a tool answered)", "y"]


def test_nothing_is_stored_and_reasoning_comes_back_encrypted():
    body = rendered(stream=True, user="me@example.org", max_tokens=5)
    assert (body["store"], body["stream"], body["max_output_tokens"]) == (False, True, 16)
    assert body["include"] == ["reasoning.encrypted_content"]
    assert len(body["safety_identifier"]) == 64 and "example" not in json.dumps(body)
    assert "include" not in rendered(model="gpt-4o") and "max_output_tokens" not in rendered()


@pytest.mark.parametrize(
    ("model", "most"),
    [
        *(("gpt-4o", 16_384), ("gpt-4.1", 32_768), ("o3", 50_000), ("gpt-5.5", 50_000)),
        *(("gpt-4o-2024-05-13", 4096), ("gpt-4-0613", 8192), ("gpt-4-turbo", 4096), ("new", 50_000)),
    ],
)
def test_no_more_is_asked_for_than_a_model_can_write(model: str, most: int):
    body = json.loads(render_request(Request("m", (HI,), max_tokens=50_000), model=model, stream=False))
    assert body["max_output_tokens"] == most


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (None, None),
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        (Named("ls"), {"type": "function", "name": "ls"}),
    ],
)
def test_tools_and_their_choice_are_rendered(choice: Any, said: Any):
    strict = msgspec.Raw(b'{"type":"object","properties":{},"additionalProperties":false}')
    tools = (TOOL, Tool("now", "", strict, strict=True), Tool("new", "", msgspec.Raw(b"{}"), strict=True))
    body = rendered(tools=tools, tool_choice=choice, parallel_tool_calls=False)
    schema = {"type": "object", "properties": {}}
    told = {"type": "function", "name": "ls", "description": "lists", "parameters": schema, "strict": False}
    assert body["tools"][0] == told and body["tools"][1]["strict"] is True
    assert body["tools"][2]["strict"] is False
    assert (body.get("tool_choice"), body["parallel_tool_calls"]) == (said, False)


def test_names_that_are_too_long_or_odd_are_told_apart():
    names = ["mcp__" + "server" * 12 + "__" + end for end in ("read", "write")]
    sent = [sent_name(name) for name in names]
    assert len(set(sent)) == 2 and max(map(len, sent)) == 64
    body = rendered(tools=tuple(Tool(name, "", msgspec.Raw(b"{}")) for name in (*names, "a.b")))
    assert [tool["name"] for tool in body["tools"]] == [*sent, "a_b"]


@pytest.mark.parametrize("model", ALL)
@pytest.mark.parametrize(
    "thinking",
    [
        Thinking(),
        Thinking(enabled=False),
        Thinking(enabled=True, budget_tokens=31999, summary=True),
        *(Thinking(effort=effort) for effort in ("none", "minimal", "low", "high", "xhigh", "max", "odd")),
    ],
)
def test_every_model_gets_an_effort_that_it_has_and_sampling_only_where_it_takes_it(
    model: str, thinking: Thinking
):
    body = rendered(model=model, thinking=thinking, temperature=0.5, top_p=0.5)
    silent = body.get("reasoning") == {"effort": "none"} and model in ("gpt-5.5", "gpt-5.2")
    sampled = model == "gpt-4o" or silent
    assert ("temperature" in body, "top_p" in body) == (sampled, sampled)


@pytest.mark.parametrize(
    ("model", "thinking", "effort"),
    [
        ("gpt-5.5", Thinking(effort="max"), "xhigh"),
        ("gpt-5.6-sol", Thinking(effort="max"), "max"),
        ("gpt-5.5", Thinking(enabled=False), "none"),
        ("gpt-5", Thinking(enabled=False), "minimal"),
        ("gpt-6-sol", Thinking(enabled=False), "low"),
        ("o3", Thinking(enabled=False), "low"),
        ("gpt-5.5", Thinking(effort="minimal"), "low"),
        ("gpt-5.5-pro", Thinking(effort="low"), "medium"),
        ("gpt-5.1", Thinking(budget_tokens=1024), "low"),
        ("gpt-5.1", Thinking(budget_tokens=8000), "medium"),
        ("gpt-5.1", Thinking(enabled=True, budget_tokens=31999), "high"),
        ("gpt-5.1", Thinking(enabled=True), None),
    ],
)
def test_efforts_are_the_nearest_that_there_are(model: str, thinking: Thinking, effort: str | None):
    body = json.loads(render_request(Request("m", (HI,), thinking=thinking), model=model, stream=False))
    assert body.get("reasoning", {}).get("effort") == effort
    assert body.get("reasoning", {}).get("summary") == ("auto" if thinking.enabled else None)


def test_json_is_asked_for_as_the_vendor_wants_it():
    schema = msgspec.Raw(b'{"type":"object"}')
    form = rendered(format=JsonFormat(schema, "an answer", False))["text"]["format"]
    assert form == {"type": "json_schema", "name": "an_answer", "schema": {"type": "object"}, "strict": False}
    assert rendered(format=JsonFormat(schema))["text"]["format"]["strict"] is False
    closed = msgspec.Raw(b'{"type":"object","properties":{},"additionalProperties":false}')
    assert rendered(format=JsonFormat(closed))["text"]["format"]["strict"] is True
    bare = rendered(format=JsonFormat())
    assert bare["text"] == {"format": {"type": "json_object"}} and "JSON" in json.dumps(bare["input"][0])
    asked = rendered(User((TextPart("As json, please"),)), format=JsonFormat())
    assert len(asked["input"]) == 1
