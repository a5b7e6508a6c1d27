"""A format in the HTML-escaped form that a model copies once its history was escaped: ``&lt;tool_call&gt;``. Pure.

Some histories were escaped twice. Where only the inside of a call is escaped, its tags are as ever.
"""

import html
import re
from dataclasses import replace
from typing import Final

from controlplane.protocols.rescue.base import MORE, Format, Found, More, Place, Reader
from controlplane.protocols.rescue.offered import Offered

_ENTITY: Final = tuple(
    re.compile(rf"&{'amp;' * level}(lt|gt|quot|apos|amp|#39|#x27|#34);") for level in range(2)
)
_LONGEST: Final = 14
_STEP: Final = 256
_WAKE: Final = re.compile(r"[}\];>]")


def _unescape(text: str, level: int) -> str:
    return _ENTITY[level].sub(lambda found: html.unescape(f"&{found[1]};"), text)


def _raw_length(text: str, level: int, plain: int) -> int:
    """How much of `text` makes so many unescaped characters."""
    read = made = 0
    for found in _ENTITY[level].finditer(text):
        if made + found.start() - read >= plain:
            break
        made += found.start() - read + 1
        read = found.end()
    return read + plain - made


class _Escaped:
    wake = _WAKE

    def __init__(self, inner: Reader, level: int) -> None:
        self._inner = inner
        self._level = level
        self._plain = ""
        self._known = 0  # how much of the text that is

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        """In growing steps: what is no call is seen to be none in the first of them."""
        size = _STEP
        while True:
            stop = min(len(text), self._known + size)
            last = stop == len(text)
            if not (last and final):
                stop = self._whole_entities(text, stop)
            self._plain += _unescape(text[self._known : stop], self._level)
            self._known = stop
            found = self._inner.read(self._plain, last and final, cut)
            if found is not MORE or last:
                break
            size *= 2
        if not isinstance(found, Found):
            return found
        end = _raw_length(text, self._level, found.end)
        return replace(found, end=end) if end > found.end else None  # else nothing in it was escaped

    def _whole_entities(self, text: str, stop: int) -> int:
        """The place before an entity that may be cut in two at `stop`."""
        last = text.rfind("&", max(self._known, stop - _LONGEST), stop)
        if last < 0 or _ENTITY[self._level].match(text, last, stop) or ";" in text[last + 5 : stop]:
            return stop
        return last


def escaped(format: Format) -> Format:
    """The same format, escaped once or twice."""
    once = tuple(html.escape(opener) for opener in format.openers)
    twice = tuple(html.escape(opener) for opener in once)

    def reader(offered: Offered, place: Place, opener: str) -> Reader:
        plain = html.unescape(html.unescape(opener))
        return _Escaped(format.reader(offered, place, plain), int(opener in twice))

    return replace(format, kind="escaped", openers=(*format.openers, *once, *twice), reader=reader)
