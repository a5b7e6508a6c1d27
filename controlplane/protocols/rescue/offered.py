"""The tools a request offered, and arguments made to fit their schemas. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeGuard

import msgspec

from controlplane.protocols.ir import Tool
from controlplane.protocols.rescue.strict import StrictJson

_JUNK: Final = re.compile(r"<\|.*|^functions\.", re.DOTALL)
_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "object": (dict,),
    "array": (list,),
}


class _Missing:
    """Answered where there is no value: None is one."""


MISSING: Final = _Missing()


def decode(text: str) -> Any:
    """The value of a JSON text, or of one that can be mended to be; MISSING when it is none."""
    strict = StrictJson()
    made = strict.feed(text)
    closing = strict.close(cut=False)
    if closing is None or strict.broken or not strict.done or strict.rest.strip():
        return MISSING
    return load(made + closing)


def load(text: str) -> Any:
    """The value of a strict JSON text; MISSING when it is none, or has what Python's text cannot hold."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return MISSING


class Offered:
    """The tools of one request by name. Schemas are read when a call is found, not before."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def __bool__(self) -> bool:
        return bool(self._tools)

    def known(self, name: str) -> str | None:
        """The offered name that `name` means: without ``functions.`` and without control tokens that leaked into
        it; None when it means none."""
        if name in self._tools:
            return name
        plain = _JUNK.sub("", name.strip()).strip()
        return plain if plain in self._tools else None

    def begins(self, start: str) -> bool:
        """Whether an offered name begins so."""
        return any(name.startswith(start) for name in self._tools)

    def only(self) -> str | None:
        """The one tool, when only one is offered."""
        return next(iter(self._tools)) if len(self._tools) == 1 else None

    def properties(self, name: str) -> dict[str, Any]:
        """The schemas of a tool's arguments; empty when the schema does not name them."""
        found: Any = self._schema(name).get("properties")
        return found if is_object(found) else {}

    def missing(self, name: str, given: Iterable[str], cut: bool) -> bool:
        """Whether arguments are missing. `cut`: the model was stopped, so every one that is not there might have
        come; else only those the schema requires."""
        required: Any = self._schema(name).get("required")
        expected = {key for key in required if isinstance(key, str)} if is_list(required) else set[str]()
        if cut:
            properties = self.properties(name)
            if not properties:
                return True
            expected |= set(properties)
        return not expected <= set(given)

    def fit(self, name: str, arguments: dict[str, Any], texts: bool = False) -> str | None:
        """The arguments as JSON, each value of the type that its schema says when only one reading is possible.

        `texts`: all values are texts, for the format knows no other. None when JSON cannot say them.
        """
        schema = self._schema(name)
        properties = self.properties(name)
        fitted = {
            key: _fit(value, _resolve(properties.get(key), schema), texts) for key, value in arguments.items()
        }
        try:
            return msgspec.json.encode(fitted).decode()
        except (UnicodeError, RecursionError, OverflowError):
            return None

    def _schema(self, name: str) -> dict[str, Any]:
        schema: Any = load(bytes(self._tools[name].parameters).decode(errors="replace"))
        return schema if is_object(schema) else {}


def is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a decoded JSON value is an object."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a decoded JSON value is an array."""
    return isinstance(value, list)


def _resolve(schema: Any, root: dict[str, Any]) -> Any:
    """A property's schema, or what its ``$ref`` within the tool's own schema means."""
    for _ in range(8):
        ref: Any = schema.get("$ref") if is_object(schema) else None
        if not (isinstance(ref, str) and ref.startswith("#/")):
            break
        schema = root
        for step in ref[2:].split("/"):
            schema = schema.get(step) if is_object(schema) else None
    return schema


def _types(schema: Any) -> set[str]:
    """The JSON types a schema allows; empty: it does not say."""
    if not is_object(schema):
        return set()
    said: Any = schema.get("type")
    if isinstance(said, str):
        return {said}
    if is_list(said):
        return {one for one in said if isinstance(one, str)}
    for several in ("anyOf", "oneOf"):
        options: Any = schema.get(several)
        if is_list(options):
            each = [_types(option) for option in options]
            return set[str]().union(*each) if all(each) else set()
    if "properties" in schema:
        return {"object"}
    choices: Any = schema.get("enum")
    if is_list(choices):
        return {one for choice in choices for one, types in _PYTHON_TYPES.items() if type(choice) in types}
    return set()


def _fit(value: Any, schema: Any, texts: bool) -> Any:
    types = _types(schema)
    if isinstance(value, str):
        return _fit_text(value, types, texts)
    if types == {"string"} and isinstance(value, int | float):
        return msgspec.json.encode(value).decode()
    return value


def _fit_text(text: str, types: set[str], texts: bool) -> Any:
    """What a text means where these types are allowed."""
    if "string" in types or not types:
        empty = texts and "null" in types and text.strip() in ("null", "None")
        return None if empty else text
    value = decode(text.strip())
    if value is MISSING and text.strip().lower() in ("true", "false"):
        value = text.strip().lower() == "true"
    if isinstance(value, str):  # a text within a text
        value = decode(value)
    if isinstance(value, float) and value.is_integer() and "integer" in types:
        value = int(value)
    allowed = {python for one in types for python in _PYTHON_TYPES.get(one, ())}
    return value if type(value) in allowed or (value is None and texts) else text
