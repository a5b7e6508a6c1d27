"""Mistral: ``[TOOL_CALLS][{"name": …, "arguments": {…}, "id": …}]`` (until v7) and
``[TOOL_CALLS]name[CALL_ID]id[ARGS]{…}`` (v11, since v13 without the id), one tag for each call. Pure."""

import re
from typing import Final

from controlplane.protocols.rescue.base import MORE, Format, More, Place, Reader, begins
from controlplane.protocols.rescue.jsoncall import Head, JsonCall
from controlplane.protocols.rescue.offered import Offered

_TAG: Final = "[TOOL_CALLS]"
_HEAD: Final = re.compile(
    r"\[TOOL_CALLS\]\s*(?:(?P<name>[\w.\-]{1,128})\s*(?:\[CALL_ID\](?P<id>[\w\-]*)\s*)?(?:\[ARGS\]\s*)?)?"
)
_PARTS: Final = ("[CALL_ID]", "[ARGS]")


def _reader(offered: Offered, place: Place, opener: str) -> Reader:
    def head(text: str) -> Head | More | None:
        found = _HEAD.match(text)
        if found is None:
            return None
        at, name = found.end(), found["name"]
        mark = text[at : at + 1]
        if not mark:
            return MORE
        if not name:
            return Head(at) if mark in "[{" else None
        if mark != "{":
            return MORE if begins(text, at, _PARTS) is MORE else None
        known = offered.known(name)
        return Head(at, known, found["id"] or "") if known else None

    return JsonCall(offered, head)


MISTRAL: Final = Format("mistral", (_TAG,), _reader)
