"""Tools of every kind, offered as plain functions under names that every engine accepts."""

import json
from typing import Any

import pytest

from controlplane.protocols.ir import Assistant, Named, Origin
from tests.unit.controlplane.protocols.responses_asked import FILES, PATCH, READ, call, read, said


def test_a_custom_tool_is_offered_as_a_function_of_one_text_with_its_grammar():
    [tool] = read(tools=[PATCH]).tools
    assert tool.origin == Origin("apply_patch", custom=True)
    assert "start: LINE+" in tool.description and "Edits files." in tool.description
    assert list(json.loads(bytes(tool.parameters))["properties"]) == ["input"]


def test_a_namespace_is_flattened_under_names_of_their_own():
    taken = {"type": "function", "name": "mcp__files__read"}
    tools = read(tools=[FILES, taken, READ]).tools
    assert [(tool.name, tool.origin) for tool in tools] == [
        ("mcp__files__read_2", Origin("read", "mcp__files")),
        ("mcp__files__read", None),
        ("read", None),
    ]


def test_names_that_engines_would_refuse_are_made_legal_and_known_by_their_origin():
    long = "x" * 80
    tools = read(tools=[{"type": "function", "name": "web.run"}, {"type": "function", "name": long}]).tools
    assert [tool.name for tool in tools] == ["web_run", "x" * 64]
    assert [tool.origin for tool in tools] == [Origin("web.run"), Origin(long)]


def test_earlier_calls_go_by_the_names_that_the_tools_are_offered_under():
    calls = call("a", namespace="mcp__files"), call("b"), call("c", "gone", namespace="mcp__old")
    [turn] = said(*calls, tools=[FILES])
    assert isinstance(turn, Assistant)
    assert [c.name for c in turn.calls] == ["mcp__files__read", "mcp__files__read", "mcp__old__gone"]


def test_tools_that_come_with_the_conversation_are_offered_too():
    more = {"type": "additional_tools", "role": "developer", "tools": [FILES, READ]}
    request = read(tools=[READ], input=[more, {"role": "user", "content": "hi"}])
    assert [tool.name for tool in request.tools] == ["read", "mcp__files__read"]
    assert request.dropped == ("input[0].tools[1].read",)


@pytest.mark.parametrize(
    ("choice", "meant", "offered"),
    [
        ("auto", "auto", ["mcp__files__read", "apply_patch"]),
        ("none", "none", ["mcp__files__read", "apply_patch"]),
        (
            {"type": "function", "name": "read"},
            Named("mcp__files__read"),
            ["mcp__files__read", "apply_patch"],
        ),
        (
            {"type": "custom", "name": "apply_patch"},
            Named("apply_patch"),
            ["mcp__files__read", "apply_patch"],
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "custom", "name": "apply_patch"}],
            },
            "required",
            ["apply_patch"],
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "mcp__files"}]},
            "auto",
            ["mcp__files__read"],
        ),
    ],
)
def test_a_choice_of_tools_is_carried_over(choice: Any, meant: Any, offered: list[str]):
    request = read(tools=[FILES, PATCH], tool_choice=choice)
    assert request.tool_choice == meant
    assert [tool.name for tool in request.tools] == offered


def test_without_tools_there_is_no_choice_among_them():
    request = read(tools=[{"type": "web_search"}], tool_choice="auto", parallel_tool_calls=True)
    assert (request.tools, request.tool_choice, request.parallel_tool_calls) == ((), None, None)
