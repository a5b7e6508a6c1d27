"""Pythonic calls, as Llama 3.2, Llama 4, LFM2 and Olmo write them: ``[get_weather(city="Paris"), now()]``. Pure."""

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
from controlplane.protocols.rescue.offered import MISSING, Offered, load
from controlplane.protocols.rescue.strict import StrictJson

_NAME: Final = re.compile(r"[A-Za-z_][\w.\-]*")
_KEY: Final = re.compile(r"([A-Za-z_]\w*)\s*=\s*")
_WAKE: Final = re.compile(r"\]")
_TAGS: Final = ("<|python_start|>", "<|tool_call_start|>")
_CLOSERS: Final = ("<|python_end|>", "<|tool_call_end|>")


class _Refused(Exception):
    """It is no such list."""


class _Unfinished(Exception):
    """It may become one."""


class _Value:
    """A value that begins at some place of the text. It is read once, however often the text before it is: a file that
    is written has thousands of places that could end the list."""

    def __init__(self, at: int) -> None:
        self._at = self._fed = at
        self._strict = StrictJson()
        self._made: list[str] = []
        self._value: Any = MISSING

    def read(self, text: str) -> tuple[Any, int]:
        """The value and the place behind it."""
        strict = self._strict
        if not strict.done:
            self._made.append(strict.feed(text[self._fed :]))
            self._fed = len(text)
            if strict.broken:
                raise _Refused
            if not strict.done:
                raise _Unfinished
            self._value = load("".join(self._made))
        if self._value is MISSING:
            raise _Refused
        return self._value, self._at + strict.read


class _Pythonic:
    def __init__(self, offered: Offered, opener: str) -> None:
        self.wake = ANY
        self._values: dict[int, _Value] = {}
        self._offered = offered
        self._head = len(opener) if opener != "[" else 0

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        try:
            return self._list(text, final)
        except _Refused:
            return None
        except _Unfinished:
            return None if final else MORE

    def _list(self, text: str, final: bool) -> Found | More:
        at = self._mark(text, self._head, "[")
        calls: list[Call] = []
        while not calls or self._peek(text, at) == ",":
            call, at = self._call(text, skip(text, at) + 1 if calls else at)
            calls.append(call)
        at = self._mark(text, at, "]")
        if self._head:
            self.wake = ANY
            after = skip(text, at)
            closer = begins(text, after, _CLOSERS)
            if closer is MORE and not final:
                return MORE
            at = after + len(closer) if isinstance(closer, str) else at
        return Found(at, tuple(calls))

    def _call(self, text: str, at: int) -> tuple[Call, int]:
        at = skip(text, at)
        name = _NAME.match(text, at)
        if name is None or name.end() == len(text):
            said = name[0] if name else ""
            raise _Unfinished if at == len(text) or (name and self._offered.begins(said)) else _Refused
        known = self._offered.known(name[0])
        if known is None:
            raise _Refused
        at = self._mark(text, name.end(), "(")
        self.wake = _WAKE
        given: dict[str, Any] = {}
        while self._peek(text, at) != ")":
            at = skip(text, self._mark(text, at, ",") if given else at)
            if self._peek(text, at) == ")":
                break
            if not (key := _KEY.match(text, at)):
                raise _Unfinished if re.fullmatch(r"\w*\s*", text[at:]) else _Refused
            at = key.end()
            given[key[1]], at = self._values.setdefault(at, _Value(at)).read(text)
        arguments = self._offered.fit(known, given)
        if arguments is None:
            raise _Refused
        return Call(known, arguments), self._mark(text, at, ")")

    @staticmethod
    def _peek(text: str, at: int) -> str:
        at = skip(text, at)
        if at == len(text):
            raise _Unfinished
        return text[at]

    def _mark(self, text: str, at: int, mark: str) -> int:
        """The place after `mark`, which must come next."""
        if self._peek(text, at) != mark:
            raise _Refused
        return skip(text, at) + 1


def _reader(offered: Offered, place: Place, opener: str) -> Reader:
    return _Pythonic(offered, opener)


PYTHONIC: Final = Format("pythonic", ("[",), _reader, where="line", tail="last", thoughts=False)
PYTHONIC_TAGGED: Final = Format("pythonic", _TAGS, _reader)
