"""Requests of the Messages protocol: every shape that clients send has its place, or is named as dropped."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.protocols.anthropic import MessagesSurface, read_count_request, render_count
from controlplane.protocols.ir import (
    Assistant,
    ImagePart,
    JsonFormat,
    Message,
    Named,
    Part,
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
from tests.unit.controlplane.protocols.messages_sdk import Reader

RECORDED = [
    path
    for path in sorted((Path(__file__).resolve().parents[3] / "golden" / "clients").glob("*/*.json"))
    if json.loads(path.read_bytes())["path"].startswith("/v1/messages")
]
HI = [{"role": "user", "content": "hi"}]
HIM = User((TextPart("hi"),))
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}
PICTURE = ImagePart("data:image/png;base64,iVBO")
TOOL = {"name": "Bash", "description": "runs", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8}


def read(**fields: Any) -> Request:
    body = {"model": "m", "max_tokens": 9, "messages": HI, **fields}
    return MessagesSurface().request(json.dumps({k: v for k, v in body.items() if v is not ...}).encode())


def turns(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return read(messages=list(messages)).messages


def user(*blocks: dict[str, Any]) -> tuple[Part, ...]:
    (message,) = turns({"role": "user", "content": list(blocks)})
    assert isinstance(message, User)
    return message.parts


def refused(**fields: Any) -> tuple[str | None, str]:
    with pytest.raises(BadRequest) as error:
        read(**fields)
    return error.value.field, error.value.message


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_everything_that_clients_were_seen_to_send_is_read(path: Path):
    body = json.loads(path.read_bytes())["body"]
    reader = read_count_request if "max_tokens" not in body else MessagesSurface().request
    request = reader(json.dumps(body).encode())
    assert request.model == body["model"] and request.stream == body.get("stream", False)
    assert "cc_version" not in str(request.messages)
    own = [tool for tool in body.get("tools", ()) if "input_schema" in tool]
    assert [json.loads(bytes(tool.parameters)) for tool in request.tools] == [
        tool["input_schema"] for tool in own
    ]
    shown = [block for message in body["messages"] for block in message["content"] if isinstance(block, dict)]
    results = [message for message in request.messages if isinstance(message, ToolResult)]
    assert len(results) == sum(block["type"] == "tool_result" for block in shown)
    assert set(request.dropped) <= {"context_management", "tools[0].web_search_20250305"}


def test_there_are_recorded_requests():
    assert {path.parent.name for path in RECORDED} >= {"claude-code", "anthropic-python", "anthropic-js"}


@pytest.mark.parametrize(
    ("system", "read_as"),
    [
        ("", ()),
        (None, ()),
        ([], ()),
        ("be brief", (System("be brief"),)),
        ([{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}], (System("a"),)),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], (System("a\n\nb"),)),
        ([{"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1"}], ()),
        ("x-anthropic-billing-header: cc_version=2\nbe brief", (System("be brief"),)),
    ],
)
def test_instructions_are_text_or_blocks_without_the_line_that_differs_each_time(
    system: Any, read_as: tuple[Message, ...]
):
    request = read(system=system)
    assert request.messages == (*read_as, HIM) and request.dropped == ()


def test_instructions_may_stand_among_the_messages():
    parted = {"role": "system", "content": [{"type": "text", "text": "now"}]}
    assert turns(*HI, {"role": "system", "content": "be brief"}, parted) == (
        HIM,
        System("be brief"),
        System("now"),
    )


def test_an_assistant_comes_back_with_its_thoughts_texts_and_calls():
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ"},
        {"type": "text", "text": "I "},
        {"type": "text", "text": "look"},
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}},
        {"type": "tool_use", "id": "toolu_2", "name": "Now"},
    ]
    assert turns(*HI, {"role": "assistant", "content": content})[1:] == (
        Assistant(
            "I look",
            (Thought("hm", "c2ln"), Thought("", "ZGF0YQ", redacted=True)),
            (ToolCall("toolu_1", "Bash", '{"command": "ls"}'), ToolCall("toolu_2", "Now", "{}")),
        ),
    )
    assert turns(*HI, {"role": "assistant", "content": "ok"})[1:] == (Assistant("ok"),)
    unsigned = [{"type": "thinking", "thinking": "hm", "signature": None}]
    assert turns({"role": "assistant", "content": unsigned}) == (Assistant("", (Thought("hm"),)),)


def test_what_tools_answered_stands_before_what_the_user_says_to_it():
    results = [
        {"type": "text", "text": "see"},
        {"type": "tool_result", "tool_use_id": "a"},
        {"type": "tool_result", "tool_use_id": "b", "content": "b!", "is_error": True},
        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "c!"}, PNG]},
    ]
    assert turns({"role": "user", "content": results}) == (
        ToolResult("a", ()),
        ToolResult("b", (TextPart("b!"),), is_error=True),
        ToolResult("c", (TextPart("c!"), PICTURE)),
        User((TextPart("see"),)),
    )
    assert turns({"role": "user", "content": results[1:2]}) == (ToolResult("a", ()),)


def test_pictures_and_documents_are_shown_as_far_as_they_can_be():
    text = {"type": "text", "media_type": "text/plain", "data": "the text"}
    parted = {"type": "content", "content": [{"type": "text", "text": "part"}, PNG]}
    found = {"type": "search_result", "title": "T", "source": "s", "content": [{"type": "text", "text": "t"}]}
    assert user(PNG, {"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}) == (
        PICTURE,
        ImagePart("https://a/b.png"),
    )
    assert user({"type": "document", "title": "T", "context": "C", "source": text}) == (
        *(TextPart("T"), TextPart("C"), TextPart("the text")),
    )
    assert user({"type": "document", "source": parted}) == (TextPart("part"), PICTURE)
    assert user(found) == (TextPart("T\n\ns\n\nt"),)


@pytest.mark.parametrize(
    ("block", "name"),
    [
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "J"}},
            "document",
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}}, "document"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "source.file_id"),
        ({"type": "container_upload", "file_id": "f"}, "container_upload"),
        (
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": {"type": "e"}},
            "web_search_tool_result",
        ),
        ({"type": "of\r\nnext: year", "text": {}, "name": 4}, "of??next??year"),
        ({"type": "text", "text": "", "citations": []}, "citations"),
    ],
)
def test_a_block_that_cannot_be_shown_is_dropped_and_named(block: dict[str, Any], name: str):
    request = read(messages=[{"role": "user", "content": [block]}])
    assert request.messages == (User((TextPart(""),)),)
    assert request.dropped[0] == f"messages[0].content[0].{name}"


def test_every_kind_of_thing_is_named_once_where_it_first_stood():
    block = {"type": "text", "text": "a", "citations": []}
    request = read(
        messages=[{"role": "user", "content": [block, block]}, {"role": "user", "content": [block]}],
        context_management={"edits": []},
        service_tier="auto",
        container=None,
        cache_control={"type": "ephemeral"},
        metadata={"user_id": "u", "team": "t"},
        thinking={"type": "adaptive", "display": "omitted"},
        output_config={"effort": "high", "verbosity": "low"},
        tools=[{**TOOL, "defer_loading": True, "cache_control": {"type": "ephemeral"}}],
    )
    assert set(request.dropped) == {
        *("messages[0].content[0].citations", "context_management", "service_tier", "metadata.team"),
        *("thinking.display", "output_config.verbosity", "tools[0].defer_loading"),
    }


def test_tools_of_the_client_are_kept_and_those_of_the_server_are_named():
    bash, editor = {"type": "bash_20250124", "name": "bash"}, {"type": "text_editor_20250728", "name": "edit"}
    request = read(
        tools=[{**TOOL, "type": "custom", "strict": True}, SEARCH, bash, editor], tool_choice={"type": "auto"}
    )
    (tool,) = request.tools
    assert (tool.name, tool.description, bytes(tool.parameters)) == ("Bash", "runs", b'{"type": "object"}')
    assert tool.strict and not tool.eager and request.tool_choice == "auto"
    assert read(tools=[{**TOOL, "eager_input_streaming": True}]).tools[0].eager
    assert request.dropped == (
        *("tools[1].web_search_20250305", "tools[2].bash_20250124", "tools[3].text_editor_20250728"),
    )


@pytest.mark.parametrize(
    ("choice", "read_as"),
    [
        ({"type": "auto"}, ("auto", None)),
        ({"type": "any", "disable_parallel_tool_use": True}, ("required", False)),
        ({"type": "none"}, ("none", None)),
        ({"type": "tool", "name": "Bash", "disable_parallel_tool_use": False}, (Named("Bash"), True)),
        (None, (None, None)),
    ],
)
def test_the_choice_of_tools_is_read(choice: Any, read_as: Any):
    request = read(tools=[TOOL], tool_choice=choice)
    assert (request.tool_choice, request.parallel_tool_calls) == read_as


def test_a_choice_among_no_tools_is_none():
    assert read(tools=[SEARCH], tool_choice={"type": "auto"}).tool_choice is None
    forced = read(tools=[SEARCH], tool_choice={"type": "tool", "name": "web_search"})
    assert forced.tool_choice is None and forced.dropped == ("tools[0].web_search_20250305", "tool_choice")


@pytest.mark.parametrize(
    ("thinking", "effort", "read_as"),
    [
        ({"type": "enabled", "budget_tokens": 31999}, None, Thinking(True, 31999)),
        ({"type": "adaptive"}, "high", Thinking(None, None, "high")),
        ({"type": "disabled"}, None, Thinking(False)),
        (None, None, Thinking()),
    ],
)
def test_how_much_thinking_is_asked_for_is_read(thinking: Any, effort: str | None, read_as: Thinking):
    assert read(thinking=thinking, output_config={"effort": effort}).thinking == read_as


@pytest.mark.parametrize("where", ["output_config", "output_format"])
def test_the_schema_of_an_answer_is_read(where: str):
    form = {"type": "json_schema", "schema": {"type": "object"}}
    request = read(**{where: {"format": form} if where == "output_config" else form})
    assert request.format == JsonFormat(msgspec.Raw(b'{"type": "object"}')) and request.dropped == ()


def test_sampling_and_limits_are_read():
    request = read(
        stream=True,
        temperature=1,
        top_p=0.5,
        top_k=4,
        stop_sequences=["END"],
        metadata={"user_id": "u"},
    )
    assert (request.stream, request.temperature, request.top_p, request.top_k) == (True, 1, 0.5, 4)
    assert (request.stop, request.user, request.max_tokens) == (("END",), "u", 9)
    assert read(max_tokens=0).max_tokens == 1


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"max_tokens": ...}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"messages": ...}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": [*HI, {"role": "user", "content": ["a"]}]}, "messages[1].content[0]"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": ""}]}]},
            "messages[0].content[0].tool_use_id",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "url"}}]}]},
            "messages[0].content[0].source.url",
        ),
        (
            {"messages": [{"role": "user", "content": [PNG | {"source": {"type": "base64", "data": "a"}}]}]},
            "messages[0].content[0].source.media_type",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [PNG | {"source": {"type": "url", "url": "file:///a"}}]}
                ]
            },
            "messages[0].content[0].source.url",
        ),
        ({"system": 3}, "system"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "a", "input_schema": []}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tools": [TOOL], "tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "b"}}, "tool_choice.name"),
        ({"thinking": {}}, "thinking.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_a_mistake_is_refused_by_its_path(fields: dict[str, Any], path: str):
    where, message = refused(**fields)
    assert where == path and message.startswith(path)


def test_a_count_needs_no_max_tokens_and_is_what_the_client_reads():
    request = read_count_request(json.dumps({"model": "m", "messages": HI, "tools": [TOOL]}).encode())
    assert request.max_tokens is None and request.messages == (HIM,) and len(request.tools) == 1
    assert Reader().counted(render_count(42)) == 42
