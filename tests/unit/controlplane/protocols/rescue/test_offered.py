"""Arguments are made to fit the schema of their tool, where only one reading is possible."""

import json
from typing import Any

import msgspec
import pytest

from controlplane.protocols.ir import Tool
from controlplane.protocols.rescue.offered import Offered
from tests.unit.controlplane.protocols.rescue.samples import TOOLS, tool


def fitted(schema: Any, value: Any, texts: bool = False) -> Any:
    made = Offered([tool("f", [], x=schema)]).fit("f", {"x": value}, texts)
    return json.loads(made or "null")["x"]


@pytest.mark.parametrize(
    ("schema", "text", "meant"),
    [
        ({"type": "string"}, "5", "5"),
        ({}, "5", "5"),
        ({"type": "integer"}, "5", 5),
        ({"type": "integer"}, "5.0", 5),
        ({"type": "integer"}, "5.5", "5.5"),
        ({"type": "integer"}, "five", "five"),
        ({"type": "number"}, "5.5", 5.5),
        ({"type": "boolean"}, "TRUE", True),
        ({"type": "boolean"}, "1", "1"),
        ({"type": "array"}, "['a', 'b']", ["a", "b"]),
        ({"type": "object"}, '"{\\"a\\": 1}"', {"a": 1}),
        ({"properties": {}}, '{"a": 1}', {"a": 1}),
        ({"type": ["integer", "null"]}, "null", None),
        ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, "True", True),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "null", None),
        ({"anyOf": [{"type": "string"}, {"type": "object"}]}, "{}", "{}"),
        ({"enum": [1, 2]}, "2", 2),
        ({"enum": ["1", 2]}, "2", "2"),
        ({"$ref": "#/properties/nowhere"}, "2", "2"),
        ({"$ref": "#/properties/x"}, "2", "2"),
    ],
)
def test_a_text_becomes_what_the_schema_wants(schema, text, meant):
    assert fitted(schema, text, texts=True) == meant


def test_a_value_that_has_a_type_changes_it_only_for_a_text():
    assert fitted({"type": "string"}, 5) == "5"
    assert fitted({"type": "string"}, True) == "true"
    assert fitted({"type": "integer"}, [1]) == [1]
    assert fitted({"type": "string"}, None) is None
    assert fitted({"type": "integer"}, 10**30) == 10**30


def test_a_reference_into_the_schema_is_followed():
    schema = {"$defs": {"n": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/n"}}}
    offered = Offered([Tool("f", "", msgspec.Raw(msgspec.json.encode(schema)))])
    assert offered.fit("f", {"x": "3"}) == '{"x":3}'


@pytest.mark.parametrize("schema", [b"{}", b"true", b"{", b'{"properties": [], "required": "x"}', b"\xff"])
def test_any_schema_is_lived_with(schema):
    offered = Offered([Tool("f", "", msgspec.Raw(schema))])
    assert offered.fit("f", {"x": "3"}) == '{"x":"3"}'
    assert not offered.missing("f", [], cut=False)
    assert offered.missing("f", [], cut=True)


def test_names_lose_what_does_not_belong_to_them():
    offered = Offered(TOOLS.values())
    assert offered.known("functions.now") == offered.known(" now<|channel|>commentary") == "now"
    assert offered.known("later") is None
    assert offered.only() is None
