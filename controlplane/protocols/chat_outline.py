"""The outline of a chat request: who speaks, and whether in plain text or in parts. Pure.

Read once for each request; the texts are skipped, for they are long.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from controlplane.protocols.base import Fields, decode


class Line(msgspec.Struct, frozen=True):
    """One message; `content` as it came."""

    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


Outline = Sequence[Line]

_OUTLINE: Final = msgspec.json.Decoder(tuple[Line, ...])


def outline(fields: Fields) -> Outline:
    """Raises BadRequest that names the message that is none."""
    return decode(_OUTLINE, fields["messages"], "messages")


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
