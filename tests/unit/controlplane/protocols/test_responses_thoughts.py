"""Conversations that were begun with another model and go on with one of OpenAI's."""

import json
from typing import Any

import pytest

from controlplane.protocols.responses_thoughts import own_reasoning

SEALED = "gAAAAABpIAAAvEyUXV-9yMdL5P2AbXu3J6NKJSfG527e"
TEXT = [{"type": "reasoning_text", "text": "hm"}]


def reasoning(**said: Any) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], **said}


OWN = reasoning(encrypted_content=SEALED)
KNOWN = reasoning(content=[], encrypted_content=None)
ASK = {"role": "user", "content": 'say "reasoning"'}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"type":"reasoning"}'}


def body(*items: Any) -> bytes:
    return json.dumps({"model": "gpt-x", "input": items, "reasoning": {"effort": "low"}}, indent=1).encode()


@pytest.mark.parametrize(
    "other",
    [
        reasoning(content=TEXT),
        reasoning(content=TEXT, encrypted_content=None),
        reasoning(encrypted_content="gemini:c2ln"),
        reasoning(content=TEXT, encrypted_content="EqQBCgIYAhIM"),
    ],
)
def test_reasoning_of_others_stays_behind_and_is_named(other: Any):
    sent, left_out = own_reasoning(body(ASK, other, CALL, OWN, ASK, other))
    assert json.loads(sent) == json.loads(body(ASK, CALL, OWN, ASK))
    assert left_out == ("input[1]", "input[5]")


@pytest.mark.parametrize(
    "untouched",
    [
        body(ASK, OWN, CALL, KNOWN, reasoning(), ASK),
        b'{"input": "of \\"reasoning\\"", "x": "reasoning"}',
        b'{"input": [{"type": "reasoning", "encrypted_content": 3}]}',
        b'{"input": [1, "reasoning"]}',
        b'"reasoning"',
    ],
)
def test_all_else_passes_to_the_byte(untouched: bytes):
    assert own_reasoning(untouched) == (untouched, ())
