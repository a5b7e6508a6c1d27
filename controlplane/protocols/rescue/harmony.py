"""Harmony, the channels of gpt-oss, where an engine has left them in: ``<|channel|>analysis<|message|>`` is thinking,
``final`` and plain ``commentary`` are text, and a recipient makes it a call. Pure.

``<|start|>assistant to=functions.x<|channel|>commentary json<|message|>{…}<|call|>`` is the same call as
``<|channel|>commentary to=functions.x <|constrain|>json<|message|>{…}<|call|>``; models write both.
"""

import re
from typing import Final

from controlplane.protocols.rescue.base import ANY, MORE, Format, Found, More, Place, Reader
from controlplane.protocols.rescue.jsoncall import Head, JsonCall
from controlplane.protocols.rescue.offered import Offered

_OPENERS: Final = ("<|start|>", "<|channel|>")
_ENDS: Final = ("<|end|>", "<|return|>", "<|call|>")
_MESSAGE: Final = "<|message|>"
_LONGEST: Final = 240
_RECIPIENT: Final = re.compile(r"to=([\w.\-]+)")
_CHANNEL: Final = re.compile(r"<\|channel\|>\s*(analysis|commentary|final)\b")
_HEADER: Final = re.compile(r"(?:<\|(?:start|channel|constrain)\|>|[\w.=\-]++|\s++)*+")


class _Channel:
    """A header, and what it says of the message after it."""

    wake = ANY

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        self._call: JsonCall | None = None

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        if self._call is None:
            end = text.find(_MESSAGE, 0, _LONGEST)
            if end < 0:
                likely = len(text) < _LONGEST and _may_be_header(text)
                return MORE if likely and not final else None
            header, end = text[:end], end + len(_MESSAGE)
            channel, recipient = _CHANNEL.search(header), _RECIPIENT.search(header)
            if not _HEADER.fullmatch(header) or not (channel or recipient):
                return None
            if recipient is None:
                return Found(end, thinking=channel is not None and channel[1] == "analysis")
            name = self._offered.known(recipient[1].removeprefix("functions."))
            if name is None:
                return None
            head = Head(end, name)
            self._call = JsonCall(self._offered, lambda _: head, _ENDS)
        found = self._call.read(text, final, cut)
        self.wake = self._call.wake
        return found


def _may_be_header(text: str) -> bool:
    """Whether a text without ``<|message|>`` may be the beginning of a header."""
    known = _HEADER.match(text)
    rest = text[known.end() if known else 0 :]
    return any(tag.startswith(rest) for tag in (_MESSAGE, *_OPENERS, "<|constrain|>"))


class _End:
    """The end of a message: nothing of it is for the reader."""

    wake = ANY

    def __init__(self, opener: str) -> None:
        self._found = Found(len(opener), thinking=False, bare=False)

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        return self._found


def _reader(offered: Offered, place: Place, opener: str) -> Reader:
    return _Channel(offered)


def _end_reader(offered: Offered, place: Place, opener: str) -> Reader:
    return _End(opener)


HARMONY: Final = Format("harmony", _OPENERS, _reader, tail="free", calls=False)
HARMONY_END: Final = Format("harmony", _ENDS, _end_reader, tail="free", calls=False, after="harmony")
