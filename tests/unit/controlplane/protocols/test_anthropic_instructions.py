"""Instructions in mid-conversation become the user's words, where nobody else may say them."""

from typing import Any

import msgspec
import pytest

from controlplane.protocols.anthropic_instructions import told_by_the_user
from controlplane.protocols.base import read_fields

HI, AGAIN = (
    {"role": "user", "content": "hi"},
    {"role": "user", "content": [{"type": "text", "text": "again"}]},
)
CALL: Any = {
    "role": "assistant",
    "content": [{"type": "tool_use", "id": "1", "name": "ls", "input": {"a": "system"}}],
}
RESULT: Any = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1", "content": "x"}]}
BRIEF = {"role": "system", "content": "be brief"}
MARKED: Any = {
    "role": "system",
    "content": [{"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}],
}


def text(said: str) -> dict[str, str]:
    return {"type": "text", "text": said}


def told(*messages: Any) -> Any:
    body = msgspec.json.encode({"system": "s", "messages": messages})
    return msgspec.json.decode(told_by_the_user(read_fields(body))["messages"])


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([HI, BRIEF], [[text("hi"), text("be brief")]]),
        ([HI, MARKED, AGAIN], [[text("hi"), *MARKED["content"]], [text("again")]]),
        ([BRIEF, HI], [[text("hi"), text("be brief")]]),
        ([HI, CALL, BRIEF, RESULT], [[text("hi")], CALL["content"], [*RESULT["content"], text("be brief")]]),
        ([HI, CALL, RESULT, BRIEF], [[text("hi")], CALL["content"], [*RESULT["content"], text("be brief")]]),
        ([HI, CALL, BRIEF], [[text("hi")], CALL["content"], [text("be brief")]]),
    ],
)
def test_the_user_says_them_behind_what_tools_answered(messages: Any, turns: Any):
    assert [message["content"] for message in told(*messages)] == turns
    assert all(message["role"] in ("user", "assistant") for message in told(*messages))


@pytest.mark.parametrize(
    "body",
    [
        msgspec.json.encode({"messages": [HI, CALL, RESULT], "system": "be brief"}),
        b'{"messages": [{"role": "system", "content": 3}]}',
        b'{"messages": {"role": "system"}}',
        b'{"role": "system"}',
    ],
)
def test_all_else_is_the_same(body: bytes):
    fields = read_fields(body)
    assert told_by_the_user(fields) is fields
