"""Conversations that were begun with another model and go on with one of Anthropic's."""

import json
from typing import Any

import pytest

from controlplane.protocols.anthropic_thoughts import own_thoughts

OWN = {"type": "thinking", "thinking": "mine", "signature": "EqQBCgIYAhIM"}
HIDDEN = {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va3pzix"}
GEMINIS = {"type": "thinking", "thinking": "hm", "signature": "gemini:c2ln"}
OPENAIS = {"type": "thinking", "thinking": "", "signature": "gAAAAABpIAAAvEyUXV-9yMdL5P2AbXu3J6NKJSfG527e"}
LOCAL = {"type": "thinking", "thinking": "hm", "signature": ""}
BARE = {"type": "thinking", "thinking": "hm"}
SEALED = {"type": "redacted_thinking", "data": "gemini:c2ln"}
TEXT = {"type": "text", "text": 'I think, "type": "thinking"'}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"type": "thinking", "signature": ""}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "rain"}]}
ASK = {"role": "user", "content": "hi"}
BUDGET = {"type": "enabled", "budget_tokens": 2000}


def said(*content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(content)}


def body(*messages: Any, **fields: Any) -> bytes:
    return json.dumps(
        {"model": "claude-x", "max_tokens": 9, "messages": messages, **fields}, indent=1
    ).encode()


@pytest.mark.parametrize("other", [GEMINIS, OPENAIS, LOCAL, BARE, SEALED])
def test_thoughts_of_others_stay_behind_and_are_named(other: Any):
    sent, left_out = own_thoughts(body(ASK, said(other, TEXT), ASK, said(OWN, HIDDEN, other, TEXT), ASK))
    assert json.loads(sent)["messages"] == [ASK, said(TEXT), ASK, said(OWN, HIDDEN, TEXT), ASK]
    assert left_out == ("messages[1].content[0]", "messages[3].content[2]")


@pytest.mark.parametrize(
    "untouched",
    [
        body(ASK, said(OWN, HIDDEN, TEXT, CALL), {"role": "user", "content": [RESULT]}, thinking=BUDGET),
        body(ASK, said(TEXT, CALL), {"role": "user", "content": [RESULT, LOCAL]}),
        body(
            ASK, {"role": "assistant", "content": '{"type": "thinking"}'}, ASK, thinking={"type": "thinking"}
        ),
        b'{"messages": [{"role": "assistant", "content": [{"type": "thinking", "signature": 3}]}]}',
        b'{"messages": {"type": "thinking"}}',
        b'{"messages": [{"role": 1, "content": [{"type": "thinking"}]}]}',
        b'{"type": "thinking"}',
        b'"thinking", and no JSON \xff',
    ],
)
def test_everything_else_is_the_same_to_the_byte(untouched: bytes):
    assert own_thoughts(untouched) == (untouched, ())


def test_a_turn_that_was_but_a_thought_goes():
    sent, left_out = own_thoughts(body(ASK, said(GEMINIS), ASK))
    assert json.loads(sent)["messages"] == [ASK, ASK]
    assert left_out == ("messages[1].content[0]",)


@pytest.mark.parametrize(
    ("turn", "thinks"),
    [
        (said(GEMINIS, CALL), False),
        (said(GEMINIS, TEXT, CALL), False),
        (said(GEMINIS, OWN, CALL), True),
        (said(GEMINIS, HIDDEN, CALL), True),
        (said(GEMINIS, TEXT), True),
    ],
)
def test_within_a_loop_of_tools_that_another_began_nothing_is_thought_by_a_budget(turn: Any, thinks: bool):
    asked = {"thinking": BUDGET, "context_management": {"edits": [{"type": "clear_thinking_20251015"}]}}
    sent, _ = own_thoughts(body(ASK, turn, {"role": "user", "content": [RESULT]}, **asked))
    assert ({"thinking", "context_management"} <= json.loads(sent).keys()) == thinks


def test_models_that_think_as_they_see_fit_go_on_thinking():
    sent, _ = own_thoughts(
        body(ASK, said(LOCAL, CALL), {"role": "user", "content": [RESULT]}, thinking={"type": "adaptive"})
    )
    assert json.loads(sent)["thinking"] == {"type": "adaptive"}


def test_what_stays_keeps_its_bytes():
    text = b'{"type" : "text", "text":"\\u00e9", "n": 1.50}'
    mine = b'{"type":"thinking","thinking":"m","signature":"EqQB"}'
    theirs = b'{"type":"thinking","thinking":"t","signature":"gemini:c2ln"}'
    sent, _ = own_thoughts(
        b'{"messages":[{"role":"assistant","content":[%b,%b,%b]}],"x": [1,  2]}' % (theirs, mine, text)
    )
    assert mine in sent and text in sent and b"[1,  2]" in sent and theirs not in sent
