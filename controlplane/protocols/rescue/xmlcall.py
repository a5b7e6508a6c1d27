"""Calls that are written as tags around literal values, in the dialects that models know. Pure.

Nothing in a value is escaped, so it may hold these very tags. It ends at the first ``</parameter>`` after which the
call goes on; where that was forgotten, at the next thing that can only belong to the call.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from controlplane.protocols.rescue.base import (
    ANY,
    MORE,
    Call,
    Found,
    More,
    begins,
    skip,
)
from controlplane.protocols.rescue.offered import Offered

_PARAMETER_END: Final = "</parameter>"
_LONGEST_TAG: Final = 160
_WAKE: Final = re.compile(r">")


@dataclass(frozen=True, slots=True)
class Dialect:
    """The tags of a call: `wrappers` that may stand around it, what it begins with up to its name, what a value begins
    with up to its key, and its `end`. `padded`: values stand on lines of their own, so that a line end before and one
    after are not theirs; else both are there or none.
    """

    wrappers: tuple[str, ...]
    call: str
    parameter: str
    end: str
    padded: bool


class XmlCall:
    """Reads one call in a dialect, its wrapper included where there is one."""

    def __init__(self, offered: Offered, dialect: Dialect) -> None:
        self.wake = ANY
        self._offered = offered
        self._padded = dialect.padded
        self._call_tag, self._parameter_tag, self._call_end = dialect.call, dialect.parameter, dialect.end
        self._wrapper_ends = tuple(wrapper.replace("<", "</") for wrapper in dialect.wrappers)
        self._after_value = (self._parameter_tag, self._call_end, *self._wrapper_ends)
        self._patterns = _patterns(dialect)
        self._name = ""
        self._given: dict[str, Any] = {}
        self._key: str | None = None  # of the value that is being read
        self._at = 0  # up to here all is understood
        self._seen: int = 0  # up to here no end of the value was found
        self._end: int | None = None

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        if not self._name:
            if (head := self._head(text)) is not True:
                return MORE if head is MORE and not final else None
            self.wake = _WAKE
        while self._end is None:
            state = self._value(text, final) if self._key is not None else self._between(text, final)
            if state is MORE:
                return MORE
            if state is None:
                return self._stopped(text, cut) if final else None
        return self._tail(text, final, cut)

    def _head(self, text: str) -> bool | More | None:
        """Whether a call of an offered tool begins here."""
        if found := self._patterns.head.match(text):
            name = self._offered.known(found[1])
            self._name, self._at = name or "", found.end()
            return True if name else None
        opened = self._patterns.wrappers.match(text)
        at = opened.end() if opened else 0
        rest = text[at:]
        if self._call_tag.startswith(rest) or any(
            wrapper.startswith(rest) for wrapper in self._patterns.openers
        ):
            return MORE
        likely = rest.startswith(self._call_tag) and len(rest) < _LONGEST_TAG and ">" not in rest
        return MORE if likely and "\n" not in rest.strip() else None

    def _between(self, text: str, final: bool) -> bool | More | None:
        """Between values: the next one or the end."""
        at = skip(text, self._at)
        tag = begins(text, at, self._after_value)
        if tag is MORE:
            return None if final else MORE
        if tag != self._parameter_tag:
            self._end = at + len(self._call_end) if tag == self._call_end else at if tag else None
            self.wake = ANY
            return True if tag else None
        if not (found := self._patterns.parameter.match(text, at)):
            return MORE if not final and len(text) - at < _LONGEST_TAG else None
        if text.endswith(">") and found.end() == len(text) and not final:
            return self._more()  # a line end may follow, which belongs to the tag
        self._key = found[1].strip()
        self._at = self._seen = found.end()
        self.wake = _WAKE
        return True

    def _value(self, text: str, final: bool) -> bool | More | None:
        """The end of a value."""
        for tag in self._patterns.tags.finditer(text, self._seen):
            ended = self._ends_value(text, tag, final)
            if ended is MORE:
                self._seen = tag.start()
                return self._more()
            if ended:
                value = text[self._at : tag.start()]
                if self._padded or text[self._at - 1] == "\n":
                    value = value.removesuffix("\n").removesuffix("\r")
                self._given[self._key or ""] = value
                self._key, self._at = None, tag.end() if tag[0] == _PARAMETER_END else tag.start()
                return True
        self._seen = max(self._seen, len(text) - len(_PARAMETER_END) + 1)
        self.wake = _WAKE
        return None if final else MORE

    def _ends_value(self, text: str, tag: re.Match[str], final: bool) -> bool | More:
        """Whether a tag ends the value, or is a part of it. Where its own end was forgotten, the next thing does."""
        if tag[0] == _PARAMETER_END:
            at = skip(text, tag.end())
            following = begins(text, at, self._after_value)
            if following is MORE:
                return True if final else MORE
            return following is not None
        if tag.start() and text[tag.start() - 1] != "\n":
            return False
        if tag[0] == self._call_end:
            following = begins(text, skip(text, tag.end()), self._wrapper_ends)
            if following is MORE:
                return True if final else MORE
            return following is not None
        if not (found := self._patterns.parameter.match(text, tag.start())):
            return (
                MORE
                if not final and len(text) - tag.start() < _LONGEST_TAG and ">" not in text[tag.start() :]
                else False
            )
        key = found[1].strip()
        return key in self._offered.properties(self._name) and key not in self._given and key != self._key

    def _more(self) -> More:
        self.wake = ANY
        return MORE

    def _tail(self, text: str, final: bool, cut: bool) -> Found | More | None:
        end = self._end or 0
        at = skip(text, end)
        closer = begins(text, at, self._wrapper_ends)
        if closer is MORE and not final:
            return MORE
        completed = closer is MORE and at < len(text)
        if isinstance(closer, str):
            end = at + len(closer)
        elif completed:
            end = len(text)
        return self._found(end, completed)

    def _stopped(self, text: str, cut: bool) -> Found | None:
        """The text has ended too early: a call when no value was open and none can be missing."""
        if self._key is not None or self._offered.missing(self._name, self._given, cut):
            return None
        if begins(text, skip(text, self._at), self._after_value) is not MORE:
            return None
        return self._found(len(text), True)

    def _found(self, end: int, completed: bool) -> Found | None:
        arguments = self._offered.fit(self._name, self._given, texts=True)
        return None if arguments is None else Found(end, (Call(self._name, arguments),), cut=completed)


@dataclass(frozen=True, slots=True)
class _Patterns:
    openers: tuple[str, ...]
    wrappers: re.Pattern[str]
    head: re.Pattern[str]
    parameter: re.Pattern[str]
    tags: re.Pattern[str]


@cache
def _patterns(dialect: Dialect) -> _Patterns:
    wrappers = rf"(?:(?:{'|'.join(map(re.escape, dialect.wrappers))})\s*){{0,2}}"
    call, parameter, end = map(re.escape, (dialect.call, dialect.parameter, dialect.end))
    return _Patterns(
        openers=dialect.wrappers,
        wrappers=re.compile(wrappers),
        head=re.compile(wrappers + call + r"""["']?([^>"'\s<]{1,128})["']?\s*>"""),
        parameter=re.compile(parameter + r"""["']?([^>"'\n<]{1,128}?)["']?\s*>\n?"""),
        tags=re.compile(rf"{_PARAMETER_END}|{end}|{parameter}"),
    )
