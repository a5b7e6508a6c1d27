"""Which chats OpenAI's models refuse in that protocol but take in the Responses protocol, which all of them know.

Agents that chat name a bound, a temperature and tools to every model, as engines take them. Models that reason refuse
the first two in every chat, and the latest of them call no tools in one.
"""

import re
from typing import Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Fields
from controlplane.protocols.ir import Thinking
from controlplane.protocols.responses_models import effort, reasons, samples

_NO_TOOLS: Final = re.compile(r"gpt-(?:[6-9]|[1-9]\d)|gpt-5\.(?:[4-9]|[1-9]\d)")
"""Models that call functions in a chat only while they do not reason."""
_UNSAID: Final = (b"", b"null", b"[]")
_USUAL: Final = (*_UNSAID, b"1", b"1.0")
"""What every model takes: its only value."""
_ALONE: Final = (*_UNSAID, b"1")
_EFFORT: Final = msgspec.json.Decoder(str | None)


def refused_as_it_is(model: str, fields: Fields) -> bool:
    """Whether a chat of these fields is refused for its form alone. One that no other protocol has (several answers)
    is the vendor's to judge."""
    if not fields or not reasons(model) or _said(fields, "n") not in _ALONE:
        return False
    try:
        wanted = _EFFORT.decode(_said(fields, "reasoning_effort") or b"null")
    except UNREADABLE:
        return False
    if _said(fields, "tools") not in _UNSAID and wanted != "none" and _NO_TOOLS.match(model):
        return True
    if any(_said(fields, name) not in _UNSAID for name in ("max_tokens", "stop")):
        return True
    quiet = Thinking(enabled=False) if wanted == "none" else Thinking(effort=wanted)
    sampled = any(_said(fields, name) not in _USUAL for name in ("temperature", "top_p"))
    return sampled and not samples(model, effort(model, quiet))


def _said(fields: Fields, name: str) -> bytes:
    return bytes(fields.get(name, b""))
