"""The outline of a chat request: who speaks, and whether in plain text or in parts. Pure."""

from collections.abc import Sequence

import msgspec


class Line(msgspec.Struct, frozen=True):
    """One message; `content` as it came, for texts are long."""

    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


Outline = Sequence[Line]


def instructs_oddly(lines: Outline) -> bool:
    """Whether there are developers, or instructions in mid-conversation: most templates know neither."""
    leading = True
    for line in lines:
        if line.role == "developer":
            return True
        if line.role != "system":
            leading = False
        elif not leading:
            return True
    return False
