"""Thoughts in Messages conversations that another model had: Anthropic refuses a request with one of them. Pure.

A client that turns from one model to another sends back what the first one thought: with another vendor's proof of
origin or, when it was a model of our own, without any.
"""

import re
from typing import Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Fields, rewrite
from controlplane.protocols.signatures import whose

_Blocks = list[msgspec.Raw]


class _Block(msgspec.Struct):
    type: str = ""
    signature: str | None = None
    data: str | None = None


_THOUGHT: Final = re.compile(rb'thinking"\s*[,}]')
"""The value of a type: as a key it is followed by a colon."""
_FIELDS: Final = msgspec.json.Decoder(Fields)
_MESSAGES: Final = msgspec.json.Decoder(list[Fields])
_ROLE: Final = msgspec.json.Decoder(str)
_CONTENT: Final = msgspec.json.Decoder[str | _Blocks](str | _Blocks)
_BLOCK: Final = msgspec.json.Decoder(_Block)
_EMPTY: Final = msgspec.Raw(b'""')
_NONE: Final = msgspec.Raw(b"[]")
_OFF: Final = msgspec.Raw(b"{}")


def own_thoughts(body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """A Messages body without the thoughts that are not Anthropic's, and where those stood.

    It is the same to the byte where there is no such thought; what cannot be read is the vendor's to judge.
    """
    if not _THOUGHT.search(body):
        return body, ()
    try:
        fields = _FIELDS.decode(body)
        own, left_out = _own(fields, _MESSAGES.decode(fields.get("messages", _NONE)))
    except UNREADABLE:
        return body, ()
    return (rewrite(own, {}) if left_out else body), left_out


def _own(fields: Fields, messages: list[Fields]) -> tuple[Fields, tuple[str, ...]]:
    kept: list[Fields] = []
    left_out: list[str] = []
    last: _Blocks = []
    for index, message in enumerate(messages):
        content = _CONTENT.decode(message.get("content", _EMPTY))
        if isinstance(content, str) or _ROLE.decode(message.get("role", _EMPTY)) != "assistant":
            kept.append(message)
            continue
        last = [block for block in content if not _is_others(block)]
        if len(last) == len(content):
            kept.append(message)
            continue
        left_out += [
            f"messages[{index}].content[{at}]" for at, block in enumerate(content) if _is_others(block)
        ]
        if last:  # an empty message is refused
            kept.append({**message, "content": msgspec.Raw(msgspec.json.encode(last))})
    if not left_out:
        return fields, ()
    own = {**fields, "messages": msgspec.Raw(msgspec.json.encode(kept))}
    if _BLOCK.decode(own.get("thinking", _OFF)).type == "enabled" and not _may_think(last):
        del own["thinking"]
        own.pop("context_management", None)  # edits that are about thoughts are refused without any
    return own, tuple(left_out)


def _is_others(raw: msgspec.Raw) -> bool:
    block = _BLOCK.decode(raw)
    if block.type not in ("thinking", "redacted_thinking"):
        return False
    proof = block.signature if block.type == "thinking" else block.data
    return whose(proof or "") != "anthropic"


def _may_think(turn: _Blocks) -> bool:
    """Within a loop of tools, the last turn of a model that thinks by a budget must begin with a thought."""
    kinds = [_BLOCK.decode(block).type for block in turn]
    return "tool_use" not in kinds or kinds[0] in ("thinking", "redacted_thinking")
