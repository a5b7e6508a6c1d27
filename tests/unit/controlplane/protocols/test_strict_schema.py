"""Schemas that OpenAI can hold an answer to are told from those for which it would refuse the request."""

import json
from typing import Any

import msgspec
import pytest

from controlplane.protocols.strict_schema import fits


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT = {"type": "string", "description": "a text"}


@pytest.mark.parametrize(
    ("schema", "fit"),
    [
        (closed(), True),
        (closed(a=TEXT, b={"type": "array", "items": closed(c={"enum": [1, 2]})}), True),
        (closed(a={"anyOf": [{"type": "null"}, closed()]}, b={"type": ["integer", "null"]}), True),
        (closed(a={"$ref": "#/$defs/x"}) | {"$defs": {"x": closed(b=TEXT)}, "$schema": "draft"}, True),
        ({"type": "object"}, False),
        (closed(a=TEXT) | {"required": []}, False),
        (closed(a=TEXT) | {"additionalProperties": True}, False),
        (closed(a={}), False),
        (closed(a={"type": "object"}), False),
        (closed(a={"type": ["object", "null"]}), False),
        (closed(a=TEXT | {"minLength": 3}), False),
        (closed(a=TEXT | {"default": "x"}), False),
        (closed(a={"oneOf": [TEXT]}), False),
        (closed(a={"type": "array", "items": {"type": "object"}}), False),
        (closed(a={"$ref": "#/$defs/x"}) | {"$defs": {"x": {"type": "object"}}}, False),
        (closed(a=True), False),
        ({"anyOf": [closed()]}, False),
        (closed() | {"anyOf": [closed()]}, False),
        ({"type": "array", "items": TEXT}, False),
        ([], False),
    ],
)
def test_only_closed_objects_of_what_is_known_fit(schema: Any, fit: bool):
    assert fits(msgspec.Raw(json.dumps(schema).encode())) is fit


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'{"type":"object","properties":3}', b'{"required":[[]]}']
)
def test_what_is_no_schema_does_not_fit(body: bytes):
    assert fits(msgspec.Raw(body)) is False
