"""What of a Messages body only Anthropic itself takes: with others who serve its models it is a 400 for the whole.

Clients that take a gateway for Anthropic send it unasked. Pure.
"""

import re
from typing import Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Fields

_Block = dict[str, msgspec.Raw]

_TOLD: Final = re.compile(rb'"(?:scope|eager_input_streaming)"\s*:')
_EAGER: Final = re.compile(rb'"eager_input_streaming"\s*:\s*true')
_BLOCK: Final = msgspec.json.Decoder(_Block)
_BLOCKS: Final = msgspec.json.Decoder(list[_Block])
_RESULT: Final = b'"tool_result"'


class Portable(msgspec.Struct, frozen=True):
    """A body's fields as every cloud takes them, and what is `left_out` of them. `eager`: the input of tools is to come
    as it is written, which clouds know by the name of a beta."""

    fields: Fields
    left_out: tuple[str, ...] = ()
    eager: bool = False


def portable(fields: Fields) -> Portable:
    """The same fields where there is nothing to leave out, or where they cannot be read, which is the vendor's to
    say."""
    left_out: set[str] = set()
    kept = dict(fields)
    if kept.pop("cache_control", None) is not None:  # for the whole of it; that of blocks is known everywhere
        left_out.add("cache_control")
    for name in ("system", "tools", "messages"):
        raw = bytes(fields.get(name, b""))
        if not _TOLD.search(raw):
            continue
        found: set[str] = set()
        try:
            told = [_without(block, found, holds=name == "messages") for block in _BLOCKS.decode(raw)]
        except UNREADABLE:
            continue
        if found:
            kept[name] = msgspec.Raw(msgspec.json.encode(told))
            left_out |= found
    if not left_out:
        return Portable(fields)
    eager = "eager_input_streaming" in left_out and _EAGER.search(bytes(fields["tools"])) is not None
    return Portable(kept, tuple(sorted(left_out)), eager)


def _without(block: _Block, found: set[str], *, holds: bool = False) -> dict[str, Any]:
    """A block, or a tool, without it; `found` gets its names. `holds`: there are blocks in its content. What a tool
    takes, and what it is called with, are never looked into."""
    kept: dict[str, Any] = dict(block)
    if bytes(block.get("cache_control", b"")).startswith(b"{"):
        control = _BLOCK.decode(block["cache_control"])
        if control.pop("scope", None) is not None:
            found.add("cache_control.scope")
            kept["cache_control"] = control
    if "input_schema" in block and kept.pop("eager_input_streaming", None) is not None:
        found.add("eager_input_streaming")
    content = block.get("content", msgspec.Raw())
    if (holds or bytes(block.get("type", b"")) == _RESULT) and bytes(content).startswith(b"["):
        kept["content"] = [_without(inner, found) for inner in _BLOCKS.decode(content)]
    return kept
