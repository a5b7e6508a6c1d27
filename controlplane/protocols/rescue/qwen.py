"""Qwen3-Coder XML, with or without ``<tool_call>`` around it, or with its end alone. Pure.

``<function=name><parameter=key>value</parameter>…</function>``: values stand there literally, nothing in them is
escaped, so a value may hold these very tags. It ends at the first ``</parameter>`` that the format goes on after.
"""

import re
from typing import Any, Final

from controlplane.protocols.rescue.base import (
    ANY,
    MORE,
    Call,
    Format,
    Found,
    More,
    Place,
    Reader,
    begins,
    skip,
)
from controlplane.protocols.rescue.offered import Offered

_HEAD: Final = re.compile(r"""(?:<tool_call>\s*){0,2}<function=["']?([^>"'\s<]{1,128})["']?\s*>""")
_BEFORE_NAME: Final = re.compile(r"(?:<tool_call>\s*){0,2}")
_PARAMETER: Final = re.compile(r"""<parameter=["']?([^>"'\n<]{1,128}?)["']?\s*>\n?""")
_TAG: Final = re.compile(r"</parameter>|</function>|<parameter=")
_AFTER_VALUE: Final = ("<parameter=", "</function>", "</tool_call>")
_WAKE: Final = re.compile(r">")


class _QwenXml:
    def __init__(self, offered: Offered) -> None:
        self.wake = ANY
        self._offered = offered
        self._name = ""
        self._given: dict[str, Any] = {}
        self._key: str | None = None  # of the value that is being read
        self._at = 0  # up to here all is understood
        self._seen = 0  # up to here no end of the value was found
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
        if found := _HEAD.match(text):
            name = self._offered.known(found[1])
            self._name, self._at = name or "", found.end()
            return True if name else None
        opened = _BEFORE_NAME.match(text)
        rest = text[opened.end() if opened else 0 :]
        likely = "<function=".startswith(rest) or (rest.startswith("<function=") and len(rest) < 150)
        return MORE if likely and ">" not in rest and "\n" not in rest.strip() else None

    def _between(self, text: str, final: bool) -> bool | More | None:
        """Between values: the next one or the end."""
        at = skip(text, self._at)
        tag = begins(text, at, _AFTER_VALUE)
        if tag is MORE:
            return None if final else MORE
        if tag != "<parameter=":
            self._end = at + len("</function>") if tag == "</function>" else at if tag else None
            self.wake = ANY
            return True if tag else None
        if not (found := _PARAMETER.match(text, at)):
            return MORE if not final and len(text) - at < 150 else None
        if text.endswith(">") and found.end() == len(text) and not final:
            return self._more()  # a line end may follow, which belongs to the tag
        self._key = found[1].strip()
        self._at = self._seen = found.end()
        self.wake = _WAKE
        return True

    def _value(self, text: str, final: bool) -> bool | More | None:
        """The end of a value."""
        for tag in _TAG.finditer(text, self._seen):
            ended = self._ends_value(text, tag, final)
            if ended is MORE:
                self._seen = tag.start()
                return self._more()
            if ended:
                value = text[self._at : tag.start()]
                self._given[self._key or ""] = value.removesuffix("\n").removesuffix("\r")
                self._key, self._at = None, tag.end() if tag[0] == "</parameter>" else tag.start()
                return True
        self._seen = max(self._seen, len(text) - len("</parameter>") + 1)
        self.wake = _WAKE
        return None if final else MORE

    def _ends_value(self, text: str, tag: re.Match[str], final: bool) -> bool | More:
        """Whether a tag ends the value, or is a part of it. Where its own end was forgotten, the next thing does."""
        if tag[0] == "</parameter>":
            at = skip(text, tag.end())
            following = begins(text, at, _AFTER_VALUE)
            if following is MORE:
                return True if final else MORE
            return following is not None
        if tag.start() and text[tag.start() - 1] != "\n":
            return False
        if tag[0] == "</function>":
            following = begins(text, skip(text, tag.end()), ("</tool_call>",))
            if following is MORE:
                return True if final else MORE
            return following is not None
        if not (found := _PARAMETER.match(text, tag.start())):
            return (
                MORE
                if not final and len(text) - tag.start() < 150 and ">" not in text[tag.start() :]
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
        closer = begins(text, at, ("</tool_call>",))
        if closer is MORE and not final:
            return MORE
        completed = closer is MORE and at < len(text)
        if closer:
            end = min(at + len("</tool_call>"), len(text)) if at < len(text) else end
        return self._found(end, completed)

    def _stopped(self, text: str, cut: bool) -> Found | None:
        """The text has ended too early: a call when no value was open and none can be missing."""
        if self._key is not None or self._offered.missing(self._name, self._given, cut):
            return None
        if begins(text, skip(text, self._at), _AFTER_VALUE) is not MORE:
            return None
        return self._found(len(text), True)

    def _found(self, end: int, completed: bool) -> Found | None:
        arguments = self._offered.fit(self._name, self._given, texts=True)
        return None if arguments is None else Found(end, (Call(self._name, arguments),), cut=completed)


def _reader(offered: Offered, place: Place, opener: str) -> Reader:
    return _QwenXml(offered)


QWEN: Final = Format("qwen_xml", ("<tool_call>",), _reader)
QWEN_BARE: Final = Format("qwen_xml", ("<function=",), _reader, where="line")
