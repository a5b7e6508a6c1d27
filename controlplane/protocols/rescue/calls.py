"""The calls of one answer: numbered in order, each with an id of its own and arguments that are JSON. Pure.

Arguments keep streaming while they are mended: held back is a token that is cut in two, a comma that may be a trailing
one, and arguments that begin as no object does.
"""

import hashlib
from typing import Any

from controlplane.protocols.ir import Delta, Text, ToolArgs, ToolStart
from controlplane.protocols.rescue.base import Call
from controlplane.protocols.rescue.offered import MISSING, Offered, decode, is_object, load
from controlplane.protocols.rescue.strict import StrictJson

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class _Open:
    """A call of the engine's own, as far as it has come. `index`: where it stands in the answer."""

    def __init__(self, index: int, id: str, name: str) -> None:
        self.index = index
        self.id = id  # as the engine gave it
        self.name = name
        self.early: list[str] = []  # arguments that came before its name, or that are no object
        self.made: list[str] = []  # what was sent of its arguments
        self.strict = StrictJson()
        self.lead = ""  # an empty object that may be a mere beginning
        self.repeated = False  # its start came again after its end

    @property
    def complete(self) -> bool:
        return self.strict.done


class Calls:
    """Mends the calls that an engine has made, and adds those that were found in its text.

    `seed` is unique to the answer: ids are made from it. `off`: kinds that are left as they are. `rescued` counts what
    was mended, by kind.
    """

    def __init__(self, offered: Offered, seed: str, off: frozenset[str], rescued: dict[str, int]) -> None:
        self.count = 0
        self._offered = offered
        self._seed = seed
        self._off = off
        self._rescued = rescued
        self._by_index: dict[int, _Open] = {}
        self._last: _Open | None = None
        self._all: list[_Open] = []
        self._ids: set[str] = set()

    def start(self, delta: ToolStart) -> list[Delta]:
        """A call begins, or what an engine repeats of one that has begun."""
        known = self._by_index.get(delta.index)
        if known is not None and (not delta.id or delta.id == known.id or not known.id):
            if not known.name and delta.name:
                known.name, known.id = delta.name, known.id or delta.id
                return self._begin(known) + self._flush(known)
            if not delta.name or delta.name == known.name:
                known.repeated = known.complete
                return []
        return self._new(delta.index, delta.id, delta.name)[1]

    def args(self, delta: ToolArgs) -> list[Delta]:
        """A piece of arguments; without a call of that index it goes to the last one."""
        call = self._by_index.get(delta.index) or self._last
        made: list[Delta] = []
        if call is None:
            call, made = self._new(delta.index, "", "")
        elif call.repeated and delta.text.strip():
            call, made = self._new(delta.index, call.id, call.name)
        if not call.name:
            call.early.append(delta.text)
            return made
        return made + self._piece(call, delta.text)

    def rescued(self, call: Call) -> list[Delta]:
        """A whole call that was found in the text."""
        index, self.count = self.count, self.count + 1
        return [ToolStart(index, self._id(call.id, index), call.name), ToolArgs(index, call.arguments)]

    def end(self, cut: bool) -> list[Delta]:
        """The answer has ended; `cut`: because the model was stopped."""
        made: list[Delta] = []
        for call in self._all:
            if not call.name:
                made += self._unnamed(call)
            elif call.early:
                made += self._odd(call, cut)
            else:
                made += self._rest(call, cut)
        self._all.clear()
        self._by_index.clear()
        self._last = None
        return made

    def _new(self, index: int, id: str, name: str) -> tuple[_Open, list[Delta]]:
        call = _Open(-1, id, name)
        if index in self._by_index:
            self._count("call_ids")
        self._by_index[index] = self._last = call
        self._all.append(call)
        return call, self._begin(call) if name else []

    def _begin(self, call: _Open) -> list[Delta]:
        call.index, self.count = self.count, self.count + 1
        id = self._id(call.id, call.index)
        name = self._offered.known(call.name) if "names" not in self._off else None
        if name and name != call.name:
            self._count("names")
        if id != call.id:
            self._count("call_ids")
        return [ToolStart(call.index, id, name or call.name)]

    def _id(self, given: str, index: int) -> str:
        """The given id when it is the first of its kind; else nine letters and digits, which is what the templates of
        Mistral's models insist on and every other takes."""
        if "call_ids" in self._off:
            return given
        id, salt = given, 0
        while not id or id in self._ids:
            digest = hashlib.blake2s(f"{self._seed}/{index}/{salt}".encode(errors="replace")).digest()
            number = int.from_bytes(digest[:8])
            id = "".join(_ALPHABET[number // 36**place % 36] for place in range(9))
            salt += 1
        self._ids.add(id)
        return id

    def _flush(self, call: _Open) -> list[Delta]:
        early = "".join(call.early)
        call.early.clear()
        return self._piece(call, early) if early else []

    def _piece(self, call: _Open, text: str) -> list[Delta]:
        if "arguments" in self._off or call.strict.broken:
            return self._send(call, text)
        if call.early or (not call.made and not call.lead and text.strip() and text.lstrip()[0] != "{"):
            call.early.append(text)
            return []
        if call.complete:
            return self._surplus(call, text)
        made = call.strict.feed(text)
        if call.strict.broken:
            made += call.strict.give_up()
        made, call.lead = call.lead + made, ""
        if made.strip() in ("", "{", "{}") and not call.made and not call.strict.broken:
            call.lead = made
            return self._surplus(call, call.strict.rest)
        return self._send(call, made) + self._surplus(call, call.strict.rest)

    def _surplus(self, call: _Open, text: str) -> list[Delta]:
        """What comes after the end: the real arguments when they were an empty object so far, else nothing of use."""
        if not text.strip():
            return []
        self._count("arguments")
        if not call.lead or text.lstrip()[0] != "{":
            return []
        call.lead, call.strict = "", StrictJson()
        return self._piece(call, text)

    @staticmethod
    def _send(call: _Open, text: str) -> list[Delta]:
        if not text:
            return []
        call.made.append(text)
        return [ToolArgs(call.index, text)]

    def _rest(self, call: _Open, cut: bool) -> list[Delta]:
        """What is missing of the arguments, when none of them is."""
        made, call.lead = self._send(call, call.lead), ""
        strict = call.strict
        if "arguments" in self._off or not call.made:
            return made
        if not strict.done:
            closing = None if strict.broken else strict.close(cut)
            value = MISSING if closing is None else load("".join(call.made) + closing)
            if is_object(value) and not self._lost(call, value, cut):
                self._count("cut")
                return made + self._send(call, closing or "")
            return made + self._send(call, strict.give_up())
        if strict.mended:
            self._count("arguments")
        return made

    def _lost(self, call: _Open, given: dict[str, Any], cut: bool) -> bool:
        known = self._offered.known(call.name)
        return cut and (known is None or self._offered.missing(known, given, cut))

    def _odd(self, call: _Open, cut: bool) -> list[Delta]:
        """Arguments that began as no object does: null, or a text that holds the object."""
        text = "".join(call.early)
        value: Any = decode(text)
        if isinstance(value, str):
            value = decode(value)
        known = self._offered.known(call.name)
        fitted = "{}" if value is None else None
        if is_object(value) and known:
            fitted = self._offered.fit(known, value)
        if fitted is not None:
            self._count("arguments")
        return self._send(call, text if fitted is None else fitted)

    def _unnamed(self, call: _Open) -> list[Delta]:
        """A call whose name never came: it can only be that of the one tool there is; else it is text."""
        early = "".join(call.early)
        if name := self._offered.only():
            call.name = name
            self._count("names")
            return self._begin(call) + self._flush(call) + self._rest(call, cut=False)
        return [Text(early)] if early.strip() else []

    def _count(self, kind: str) -> None:
        self._rescued[kind] = self._rescued.get(kind, 0) + 1
