"""What only Anthropic takes of a Messages body is left out for others, and nothing else is touched."""

import json
from typing import Any

import msgspec
import pytest

from controlplane.protocols.anthropic_clouds import portable
from controlplane.protocols.base import read_fields

GLOBAL = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
KEPT = {"type": "ephemeral", "ttl": "1h"}
SCHEMA = {"type": "object", "properties": {"scope": {"type": "string"}, "eager_input_streaming": {}}}
TEXT = {"type": "text", "text": 'a "scope": global'}


def told(body: dict[str, Any]) -> tuple[Any, tuple[str, ...], bool]:
    made = portable(read_fields(json.dumps(body).encode()))
    return json.loads(msgspec.json.encode(made.fields)), made.left_out, made.eager


@pytest.mark.parametrize("where", ["system", "tools", "a turn", "a result"])
def test_the_scope_of_a_cache_is_left_out_and_the_mark_stays(where: str):
    def body(control: dict[str, str]) -> dict[str, Any]:
        block = {**TEXT, "cache_control": control}
        tool = {"name": "f", "input_schema": SCHEMA, "cache_control": control}
        result = {"type": "tool_result", "tool_use_id": "t", "content": [block]}
        said = {"a turn": [block], "a result": [result]}.get(where, [TEXT])
        called = {"type": "tool_use", "id": "t", "name": "f", "input": {"cache_control": GLOBAL}}
        return {
            "system": [block if where == "system" else TEXT],
            "tools": [tool if where == "tools" else {"name": "f", "input_schema": SCHEMA}],
            "messages": [{"role": "assistant", "content": [called]}, {"role": "user", "content": said}],
        }

    assert told(body(GLOBAL)) == (body(KEPT), ("cache_control.scope",), False)


@pytest.mark.parametrize("eager", [True, False])
def test_a_tool_that_is_eager_is_told_without_the_word(eager: bool):
    plain = {"name": "f", "input_schema": SCHEMA}
    body = {"tools": [{**plain, "eager_input_streaming": eager}, plain], "messages": []}
    assert told(body) == ({"tools": [plain, plain], "messages": []}, ("eager_input_streaming",), eager)


def test_a_cache_of_everything_is_left_out():
    assert told({"cache_control": KEPT, "messages": []}) == ({"messages": []}, ("cache_control",), False)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"system": 'text with "scope": in it', "messages": "none"},
        {"tools": [{"name": "f", "input_schema": SCHEMA}], "messages": [{"role": "user", "content": [TEXT]}]},
        {"tools": [{"cache_control": 7, "scope": 1}], "messages": [7, {"scope": 1}]},
        {"messages": [{"role": "user", "content": "x", "cache_control": None, "scope": 1}]},
    ],
)
def test_everything_else_stays_as_it_is(body: dict[str, Any]):
    fields = read_fields(json.dumps(body).encode())
    assert portable(fields).fields is fields
