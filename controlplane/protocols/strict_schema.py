"""Which JSON schemas OpenAI can hold an answer to (``strict``): a small part of what JSON schema knows. Pure.

With any other it refuses the request, so only what certainly is within that part is found fit.
"""

from itertools import chain
from typing import Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE


class _Schema(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """All keywords that are fit; those of one that fits are of these types."""

    type: str | list[str] | None = None
    title: str | None = None
    description: str | None = None
    properties: dict[str, "_Schema"] = {}
    required: list[str] = []
    additionalProperties: bool | None = None
    items: "_Schema | None" = None
    anyOf: list["_Schema"] | None = None
    enum: list[Any] | None = None
    const: msgspec.Raw = msgspec.Raw()
    ref: str | None = msgspec.field(default=None, name="$ref")
    draft: str | None = msgspec.field(default=None, name="$schema")
    defs: dict[str, "_Schema"] = msgspec.field(default_factory=dict[str, "_Schema"], name="$defs")
    definitions: dict[str, "_Schema"] = {}


_SCHEMA: Final = msgspec.json.Decoder(_Schema)


def fits(schema: msgspec.Raw) -> bool:
    """Whether answers can be held to it: an object, closed, and so is every object within, with nothing optional."""
    try:
        read = _SCHEMA.decode(schema)
    except UNREADABLE:
        return False
    return read.type == "object" and read.anyOf is None and _fits(read)


def _fits(schema: _Schema) -> bool:
    said = schema.type or schema.ref or schema.anyOf or schema.enum or bytes(schema.const)
    if not said or not _is_closed(schema):
        return False
    named = (schema.properties, schema.defs, schema.definitions)
    inner = chain(*(schemas.values() for schemas in named), schema.anyOf or ())
    return all(map(_fits, inner)) and (schema.items is None or _fits(schema.items))


def _is_closed(schema: _Schema) -> bool:
    kinds = [schema.type] if isinstance(schema.type, str) else schema.type or []
    if "object" not in kinds:
        return not schema.properties
    return schema.additionalProperties is False and set(schema.required) == set(schema.properties)
