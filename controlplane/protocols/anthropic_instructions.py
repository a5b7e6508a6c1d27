"""Instructions in the midst of a Messages conversation, for those who serve Anthropic's models and know no such role.

Claude Code sends them to what it takes for Anthropic itself. They stay in their place, which keeps caches of the
beginning good. Pure.
"""

import re
from typing import Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Fields

_Blocks = list[Any]


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[msgspec.Raw] = ""


_SYSTEM: Final = re.compile(rb'"system"\s*[,}]')
"""The value of a role: as a key it is followed by a colon."""
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_MESSAGE: Final = msgspec.json.Decoder(_Message)


def told_by_the_user(fields: Fields) -> Fields:
    """The fields of a Messages body, its instructions in mid-conversation told by the user; the same fields where there
    are none, or where the conversation cannot be read, which is the vendor's to say."""
    messages = fields.get("messages")
    if messages is None or not _SYSTEM.search(bytes(messages)):
        return fields
    try:
        raws = _RAWS.decode(messages)
        told = _told(raws, [_MESSAGE.decode(raw) for raw in raws])
    except UNREADABLE:
        return fields
    return fields if told is None else {**fields, "messages": msgspec.Raw(msgspec.json.encode(told))}


def _told(raws: list[msgspec.Raw], messages: list[_Message]) -> list[Any] | None:
    """None where there is nothing to change. What tools answered stays first in its message."""
    if not any(message.role == "system" for message in messages):
        return None
    turns: list[Any] = []
    users: dict[str, Any] | None = None  # the last turn, when it is the user's and was told anew
    waiting: _Blocks = []
    for raw, message in zip(raws, messages, strict=True):
        if message.role == "system" and users is not None:
            users["content"] += _blocks(message)
        elif message.role == "system":
            waiting += _blocks(message)
        elif message.role == "user":
            users = {"role": "user", "content": [*_blocks(message), *waiting]}
            turns.append(users)
            waiting = []
        else:
            users = None
            turns.append(raw)
    if waiting:
        turns.append({"role": "user", "content": waiting})
    return turns


def _blocks(message: _Message) -> _Blocks:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}] if message.content.strip() else []
    return [*message.content]
