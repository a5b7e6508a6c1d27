"""What is read of an answer in the Responses protocol: its events, its items, its usage. Pure."""

import re
from typing import Any, Final

import msgspec

from controlplane.protocols.base import Usage
from controlplane.protocols.responses_error import ErrorObject


class Part(msgspec.Struct):
    text: str | None = None
    refusal: str | None = None


class Typed(msgspec.Struct):
    type: str = ""


class Item(Typed):
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    content: list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class UsageObject(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _Details | None = None

    def counts(self) -> Usage:
        """What reasoning took is among the output already."""
        details = self.input_tokens_details or _Details()
        told = (self.input_tokens, self.output_tokens, details.cached_tokens, details.cache_write_tokens)
        prompt, completion, cached, written = (max(count or 0, 0) for count in told)
        return Usage(prompt, completion, cached, cache_written_tokens=written)


class _Why(msgspec.Struct):
    reason: str | None = None


class Response(msgspec.Struct):
    """`output`: its items, see `item`."""

    status: str | None = None
    output: list[msgspec.Raw] | None = None
    usage: UsageObject | None = None
    error: ErrorObject | str | None = None
    incomplete_details: _Why | None = None


class Event(Response):
    """An event of a stream, or a whole answer, or an error in the place of either."""

    type: str = ""
    object: str = ""
    output_index: int = -1
    summary_index: int = 0
    content_index: int = 0
    delta: Any = None
    item: msgspec.Raw = msgspec.Raw()
    response: Response | None = None
    code: str | int | None = None
    message: str | None = None


_EVENT: Final = msgspec.json.Decoder(Event)
_ITEM: Final = msgspec.json.Decoder(Item)
_TYPE: Final = msgspec.json.Decoder(Typed)
_ITEMS: Final = frozenset({"message", "reasoning", "function_call", "custom_tool_call"})
"""Kinds of items that are read; others use the same names for other things."""
_OTHERS: Final = re.compile(
    r"response\.(?!created|in_progress|completed|incomplete|failed|output_|function_call|reasoning|refusal)"
)
"""Kinds of events of which the same is true."""


def event(datum: bytes) -> Event:
    """Raises DecodeError or UnicodeDecodeError for what is none; of a kind that is not read, only the kind is."""
    try:
        return _EVENT.decode(datum)
    except msgspec.ValidationError:
        kind = _TYPE.decode(datum).type
        if not _OTHERS.match(kind):
            raise
        return Event(type=kind)


def item(raw: msgspec.Raw) -> Item:
    """Of a kind that is not read, only the kind. Raises DecodeError."""
    kind = _TYPE.decode(raw).type if bytes(raw) else ""
    return _ITEM.decode(raw) if kind in _ITEMS else Item(kind)


def text(parts: list[Part] | None) -> str:
    """Parts are paragraphs."""
    return "\n\n".join(part.text for part in parts or () if part.text)
