"""JSON as models write it made into JSON, piece by piece. Pure.

Mended is what has one meaning only: single quotes, ``True``/``False``/``None``, trailing commas, unquoted keys, raw
line ends in strings, escapes that JSON does not know, and closing brackets that are missing at the end. Sound JSON
comes out as it went in, to the character.
"""

import re
from typing import Final

_PLAIN: Final = {'"': re.compile(r'[^"\\\x00-\x1f]+'), "'": re.compile(r"""[^'"\\\x00-\x1f]+""")}
_WORD: Final = re.compile(r"[\w.+-]+")
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_KEY: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_UNICODE: Final = re.compile(r"\\u[0-9a-fA-F]{4}")
_HEX: Final = re.compile(r"\\x[0-9a-fA-F]{2}")
_CONTROL: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_LITERALS: Final = {"true": "true", "false": "false", "null": "null"} | {
    "True": "true",
    "False": "false",
    "None": "null",
}
_CLOSER: Final = {"{": "}", "[": "]"}

# What may come next. VALUE_OR_END: right after "[". KEY_OR_END: right after "{".
_VALUE, _VALUE_OR_END, _KEY_, _KEY_OR_END, _COLON, _COMMA_OR_END, _DONE = range(7)


class StrictJson:
    """Reads one JSON value, cut anywhere, and answers it as strict JSON.

    `done`: the value is complete; nothing after it is read. `broken`: at `read` stands what no rule explains.
    `read`: how many characters it has understood. `mended`: something was changed.
    """

    __slots__ = ("_comma", "_quote", "_rest", "_stack", "_state", "broken", "mended", "read")

    def __init__(self) -> None:
        self.broken = False
        self.mended = False
        self.read = 0
        self._stack: list[str] = []
        self._state = _VALUE
        self._quote = ""  # of the string that is open
        self._comma = ""  # held back with the white space after it, until it is known to be no trailing one
        self._rest = ""  # of a token that is cut in two, or what stands after the end

    @property
    def done(self) -> bool:
        return self._state == _DONE

    def feed(self, text: str) -> str:
        """The strict form of what `text` completes; "" from where the value is done or broken."""
        if self.broken or self._state == _DONE:
            return ""
        text, self._rest = self._rest + text, ""
        out: list[str] = []
        at, end = 0, len(text)
        while at < end and self._state != _DONE:
            before = at
            at = self._string(text, at, out) if self._quote else self._token(text, at, out)
            if at == before:
                break
        self.read += at
        self._rest = text[at:]
        return "".join(out)

    @property
    def rest(self) -> str:
        """What was given after the end of the value."""
        return self._rest if self._state == _DONE else ""

    def give_up(self) -> str:
        """What was not read, as it came; nothing more is."""
        rest, self._comma, self._rest, self.broken = self._comma + self._rest, "", "", True
        return rest

    @property
    def depth(self) -> int:
        """How many objects and lists are open."""
        return len(self._stack)

    def close(self, cut: bool) -> str | None:
        """What is missing at the end, when nothing of a value is; None when something is lost.

        `cut`: the model was stopped, so an open list or number might have gone on. Where it broke counts as the end.
        """
        if self._state == _DONE:
            return ""
        if self._quote:
            return None
        out: list[str] = []
        if self._rest and not self.broken:
            if cut:
                return None
            rest, self._rest = self._rest, ""
            self.read += self._word(rest, out, whole=True)
            if self.broken:
                return None
        if self._comma:
            if cut:
                return None
            self._comma, self._state, self.mended = "", _COMMA_OR_END, True
        if self._state in (_VALUE, _KEY_, _COLON):
            return None
        if self._stack:
            out += reversed(self._stack)
            self._stack.clear()
            self._state, self.mended = _DONE, True
        return "".join(out)

    def _string(self, text: str, at: int, out: list[str]) -> int:
        """Read on in a string; answers where to go on, `at` when more text is needed first."""
        quote = self._quote
        if plain := _PLAIN[quote].match(text, at):
            out.append(plain[0])
            return plain.end()
        mark = text[at]
        if mark == quote:
            out.append('"')
            self._quote = ""
            self._after_value()
            return at + 1
        if mark == "\\":
            return self._escape(text, at, out)
        if mark == '"':
            out.append('\\"')
        else:
            self.mended = True
            out.append(_CONTROL.get(mark) or f"\\u{ord(mark):04x}")
        return at + 1

    def _escape(self, text: str, at: int, out: list[str]) -> int:
        mark = text[at + 1 : at + 2]
        needed = {"u": 6, "x": 4}.get(mark, 2)
        if len(text) - at < needed:
            return at
        if mark in '"\\/bfnrt' or (mark == "u" and _UNICODE.match(text, at)):
            out.append(text[at : at + needed])
            return at + needed
        self.mended = True
        if mark == "'":
            out.append("'")
            return at + 2
        if mark == "x" and self._quote == "'" and _HEX.match(text, at):
            out.append(f"\\u00{text[at + 2 : at + 4]}")
            return at + 4
        out.append("\\\\")  # such as \d in a pattern: the model meant the two characters
        return at + 1

    def _token(self, text: str, at: int, out: list[str]) -> int:
        if space := _SPACE.match(text, at):
            if self._comma:
                self._comma += space[0]
            else:
                out.append(space[0])
            return space.end()
        mark, state = text[at], self._state
        wants_value = state in (_VALUE, _VALUE_OR_END)
        if mark in "\"'" and (wants_value or state in (_KEY_, _KEY_OR_END)):
            self._begin(out, '"')
            self._quote = mark
            self.mended = self.mended or mark == "'"
        elif mark in _CLOSER and wants_value:
            self._begin(out, mark)
            self._stack.append(_CLOSER[mark])
            self._state = _KEY_OR_END if mark == "{" else _VALUE_OR_END
        elif self._stack and mark == self._stack[-1] and self._may_end():
            self._begin(out, mark, drop_comma=True)
            self._stack.pop()
            self._state = _COMMA_OR_END if self._stack else _DONE
        elif mark == "," and state == _COMMA_OR_END:
            self._comma = ","
            self._state = _KEY_ if self._stack[-1] == "}" else _VALUE
        elif mark == ":" and state == _COLON:
            out.append(mark)
            self._state = _VALUE
        else:
            return at + self._word(text[at:], out)
        return at + 1

    def _word(self, text: str, out: list[str], whole: bool = False) -> int:
        """Read a number, a literal or a bare key at the head of `text`; answers its length, 0 when it is cut."""
        word = _WORD.match(text)
        if word and word.end() == len(text) and not whole:
            return 0
        said = word[0] if word else ""
        strict = None
        if self._state in (_VALUE, _VALUE_OR_END):
            strict = _LITERALS.get(said) or (said if _NUMBER.fullmatch(said) else None)
        elif self._state in (_KEY_, _KEY_OR_END) and _KEY.fullmatch(said):
            strict = f'"{said}"'
        if strict is None:
            self.broken = True
            return 0
        self._begin(out, strict)
        self.mended = self.mended or strict != said
        self._after_value()
        return len(said)

    def _begin(self, out: list[str], text: str, drop_comma: bool = False) -> None:
        if self._comma:
            out.append(self._comma[1:] if drop_comma else self._comma)
            self._comma, self.mended = "", self.mended or drop_comma
        out.append(text)

    def _may_end(self) -> bool:
        return bool(self._comma) or self._state in (_COMMA_OR_END, _KEY_OR_END, _VALUE_OR_END)

    def _after_value(self) -> None:
        """A value, or a key, is complete."""
        if self._state in (_KEY_, _KEY_OR_END):
            self._state = _COLON
        else:
            self._state = _COMMA_OR_END if self._stack else _DONE
