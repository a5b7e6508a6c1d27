"""Schemas of tools as Bedrock's Converse takes them. Pure."""

from typing import Any, Final, cast

import msgspec

from flockpy.errors import BadRequest

_SHALLOW: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_DEEP: Final = msgspec.json.Decoder(dict[str, Any])
_REFUSED: Final = ("$schema", "$id")
_MOST: Final = 20_000
"""Parts of a schema; references may make one much larger than it was written."""


def tool_schema(parameters: msgspec.Raw, *, plain: bool) -> dict[str, Any]:
    """The schema, an object. `plain`: for a family that knows its type, properties and required ones at the top and
    refuses all else there, such as definitions, which then stand where they are referred to. Raises BadRequest for one
    that is too large or too deep for that."""
    if not plain:
        kept = {name: value for name, value in _SHALLOW.decode(parameters).items() if name not in _REFUSED}
        return kept | {"type": "object"}
    try:
        written = _DEEP.decode(parameters)
        inlined = cast(
            "dict[str, Any]", _Inlining(written).value({"properties": written.get("properties", {})}, ())
        )
    except RecursionError:
        raise BadRequest("tools: a schema is nested too deeply", field="tools") from None
    required = written.get("required")
    return {"type": "object", **inlined} | ({"required": required} if required else {})


class _Inlining:
    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._left = _MOST

    def value(self, value: object, within: tuple[str, ...]) -> object:
        """A part of a schema with what its references mean; one that leads back to itself may be anything."""
        self._left -= 1
        if self._left < 0:
            raise BadRequest(f"tools: a schema has more than {_MOST} parts", field="tools")
        if isinstance(value, list):
            return [self.value(each, within) for each in cast("list[object]", value)]
        if not isinstance(value, dict):
            return value
        fields = cast("dict[str, object]", value)
        reference = fields.get("$ref")
        if not isinstance(reference, str):
            return {name: self.value(each, within) for name, each in fields.items()}
        others = {name: each for name, each in fields.items() if name != "$ref"}
        target = {} if reference in within else self._target(reference)
        return self.value({**target, **others}, (*within, reference))

    def _target(self, reference: str) -> dict[str, object]:
        """What a reference within the schema (``#/$defs/Item``) points to; {} when it is nothing."""
        at: object = self._root
        for name in reference.removeprefix("#").split("/")[1:]:
            name = name.replace("~1", "/").replace("~0", "~")
            at = cast("dict[str, object]", at).get(name) if isinstance(at, dict) else None
        return cast("dict[str, object]", at) if reference[:1] == "#" and isinstance(at, dict) else {}
