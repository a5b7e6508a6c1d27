"""Reasoning in the text: ``<think>…</think>``, also ``</think>`` without its beginning, which many templates write
into the prompt. Pure."""

from typing import Final

from controlplane.protocols.rescue.base import ANY, MORE, Format, Found, More, Place, Reader
from controlplane.protocols.rescue.offered import Offered

_PAIRS: Final = {"<think>": "</think>", "[THINK]": "[/THINK]"}


class _Begin:
    """At the start of an answer it always begins reasoning; later only alone on its line: prose may speak of it."""

    wake = ANY

    def __init__(self, place: Place, opener: str) -> None:
        self._place = place
        self._end = len(opener)

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        if self._place.thinking:
            return Found(self._end) if self._place.blank else None
        if self._place.blank:
            return Found(self._end, thinking=True)
        if not self._place.line or self._place.quoted:
            return None
        if len(text) == self._end:
            return None if final else MORE
        return Found(self._end, thinking=True) if text[self._end] in "\r\n" else None


class _End:
    """Within reasoning it always ends it. Without, it ends what the engine took for text, if that can be told from
    prose that speaks of it: at the start or the end of a line."""

    wake = ANY

    def __init__(self, place: Place, opener: str) -> None:
        self._place = place
        self._end = len(opener)

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        place, end = self._place, self._end
        if place.thinking or place.blank:
            return Found(end, thinking=False)
        if place.quoted:
            return None
        if not place.line:
            rest = text[end:].lstrip(" \t")
            if not rest:
                return Found(end, thinking=False, orphan=True, bare=False) if final else MORE
            if rest[0] not in "\r\n":
                return None
        return Found(end, thinking=False, orphan=True, bare=False)


def _begin(offered: Offered, place: Place, opener: str) -> Reader:
    return _Begin(place, opener)


def _end(offered: Offered, place: Place, opener: str) -> Reader:
    return _End(place, opener)


THINK: Final = Format("think", tuple(_PAIRS), _begin, tail="free", calls=False, thoughts=False)
THINK_END: Final = Format("think", tuple(_PAIRS.values()), _end, tail="free", calls=False, thoughts=False)
