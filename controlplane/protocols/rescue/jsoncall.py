"""Calls that are written as JSON, whatever stands around them. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from controlplane.protocols.rescue.base import ANY, MORE, Call, Found, More, begins, skip
from controlplane.protocols.rescue.offered import MISSING, Offered, decode, is_list, is_object, load
from controlplane.protocols.rescue.strict import StrictJson

_NAMES: Final = ("name", "function", "tool")
_ARGUMENTS: Final = ("arguments", "parameters", "args", "input")
_KEYS: Final = frozenset({*_NAMES, *_ARGUMENTS, "id", "type"})
_WAKE: Final = re.compile(r"[}\]>]")
_SURPLUS: Final = re.compile(r"[}\]\s]*")


@dataclass(frozen=True, slots=True)
class Head:
    """What stands before the JSON, which begins at `at`. `name`: of the call, then the JSON is its arguments alone."""

    at: int
    name: str = ""
    id: str = ""


class JsonCall:
    """Reads a head, then JSON, then `closers` where they are there.

    `between`: the characters that may part several values. `strict`: nothing but its shape tells a call from any other
    JSON, so it must be that and nothing else.
    """

    def __init__(
        self,
        offered: Offered,
        head: Callable[[str], Head | More | None],
        closers: tuple[str, ...] = (),
        *,
        between: str = "",
        strict: bool = False,
    ) -> None:
        self.wake = ANY
        self._offered = offered
        self._read_head = head
        self._closers = closers
        self._between = between
        self._strict = strict
        self._head: Head | None = None
        self._calls: list[Call] = []
        self._last = 0  # the end of the last value that is a call
        self._completed = False
        self._begin(0)

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        if self._head is None:
            head = self._read_head(text)
            if not isinstance(head, Head):
                return None if final else head
            self._head = head
            self._begin(head.at)
        while True:
            if self._end is None:
                state = self._value(text, final, cut)
                if not isinstance(state, int):
                    return self._found(self._last) if state is None and self._calls else state
            following = self._following(text, final)
            if not isinstance(following, int):
                return following
            self._begin(following)

    def _begin(self, at: int) -> None:
        """A value begins there."""
        self._json = StrictJson()
        self._made: list[str] = []
        self._start = self._fed = at
        self._end: int | None = None  # of the value, once its calls are known
        self.wake = _WAKE if self._head else ANY

    def _value(self, text: str, final: bool, cut: bool) -> int | More | None:
        """Read on in a value; answers its end when it is one or more calls."""
        json = self._json
        self._made.append(json.feed(text[self._fed :]))
        self._fed = len(text)
        if json.done:
            return self._understand(text, completed=False, lost=False)
        if json.broken:
            at = self._start + json.read
            closer = begins(text, at, self._closers) if self._closers else None
            if closer is MORE and not final:
                return MORE
            if not isinstance(closer, str):
                return None
            cut = False  # the model has said that it is done: brackets are all that can be missing
        elif not final:
            return MORE
        around = ("".join(self._made).lstrip()[:1] == "[") + (not self._head_name)
        lost = cut and json.depth > around
        closing = json.close(cut)
        if closing is None:
            return None
        self._made.append(closing)
        return self._understand(text, completed=True, lost=lost, cut=cut)

    @property
    def _head_name(self) -> str:
        return self._head.name if self._head else ""

    def _understand(self, text: str, completed: bool, lost: bool, cut: bool = False) -> int | None:
        made = "".join(self._made)
        value = load(made)
        if value is MISSING:
            return None
        if self._head and self._head.name:
            call = self._call(self._head.name, value, self._head.id, completed, lost)
            calls = None if call is None else [call]
        else:
            calls = self._calls_of(value, completed, lost, cut)
        if not calls:
            return None
        self._calls += calls
        self._completed = self._completed or completed
        self._end = self._start + self._json.read
        self.wake = ANY
        return self._end

    def _calls_of(self, value: Any, completed: bool, lost: bool, cut: bool) -> list[Call] | None:
        """The calls that a JSON value means; None when it, or a part of it, means none."""
        if is_list(value):
            each = [self._calls_of(one, completed, lost, cut) for one in value]
            return [call for calls in each if calls for call in calls] if all(each) else None
        if not is_object(value):
            return None
        for wrapper in ("function", "tool_call", "tool_calls"):
            inner: Any = value.get(wrapper)
            if is_object(inner) or is_list(inner):
                return self._calls_of(inner, completed, lost, cut)
        name = next((found for key in _NAMES if isinstance(found := value.get(key), str)), None)
        given = next((key for key in _ARGUMENTS if key in value), None)
        if name is None or (self._strict and (given is None or not _KEYS.issuperset(value))):
            return None
        id = value.get("id")
        lost = lost or (given is None and cut)
        arguments: Any = {} if given is None else value[given]
        call = self._call(
            name, arguments, id if isinstance(id, str) else "", completed or given is None, lost
        )
        return None if call is None else [call]

    def _call(self, name: str, arguments: Any, id: str, check: bool, lost: bool) -> Call | None:
        known = self._offered.known(name)
        if isinstance(arguments, str):
            arguments = decode(arguments) if arguments.strip() else {}
        if arguments is None:
            arguments = {}
        if known is None or not is_object(arguments):
            return None
        if check and self._offered.missing(known, arguments, lost):
            return None
        fitted = self._offered.fit(known, arguments)
        return None if fitted is None else Call(known, fitted, id)

    def _following(self, text: str, final: bool) -> int | Found | More | None:
        """What comes after a value that is a call: where the next one begins, or the end of it all."""
        end = self._last = self._end or 0
        at = skip(text, end)
        parted = False
        while self._between and at < len(text) and text[at] in self._between:
            at, parted = skip(text, at + 1), True
        if at == len(text) and not final:
            return MORE
        if self._between and text[at : at + 1] == "{" and (parted or at > end or not self._strict):
            return at
        if not self._closers:
            return self._found(end)
        surplus = _SURPLUS.match(text, end)
        at = surplus.end() if surplus else end
        closed = end
        while True:
            closer = begins(text, at, self._closers)
            if isinstance(closer, str):
                closed = at + len(closer)
                at = skip(text, closed)
                continue
            if closer is MORE and not final:
                return MORE
            if closer is MORE and at < len(text):  # the model was stopped within it
                closed, self._completed = len(text), True
            return self._found(closed)

    def _found(self, end: int) -> Found:
        return Found(end, tuple(self._calls), cut=self._completed)
