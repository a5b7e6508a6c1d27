"""Hermes JSON: ``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, as Qwen, Hermes and others write it. Pure."""

import re
from typing import Final

from controlplane.protocols.rescue.base import MORE, Format, More, Place, Reader
from controlplane.protocols.rescue.jsoncall import Head, JsonCall
from controlplane.protocols.rescue.offered import Offered

_TAGS: Final = ("tool_call", "tool_calls", "function_call")
_OPENERS: Final = tuple(f"<{tag}>" for tag in _TAGS)
_CLOSERS: Final = tuple(f"</{tag}>" for tag in _TAGS)
_HEAD: Final = re.compile(r"<(?:tool_calls?|function_call)>\s*(?:<tool_call>\s*)?")
_NESTED: Final = "<tool_call>"


def _head(text: str) -> Head | More | None:
    found = _HEAD.match(text)
    at = found.end() if found else 0
    rest = text[at : at + len(_NESTED)]
    if rest[:1] in ("{", "["):
        return Head(at)
    return MORE if _NESTED.startswith(rest) and rest != _NESTED else None


def _reader(offered: Offered, place: Place, opener: str) -> Reader:
    return JsonCall(offered, _head, _CLOSERS, between=",")


HERMES: Final = Format("hermes", _OPENERS, _reader)
