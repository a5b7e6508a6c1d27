"""The plain text inside a custom tool's arguments ``{"input": "…"}``, read out while they come. Pure.

Models write long patches, and forget to escape within them: a raw line break or a stray backslash stands for itself.
"""

import re
from typing import Final

from controlplane.protocols.responses_tools import plain_input

_HEAD: Final = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_LONGEST_HEAD: Final = 64
_TOKEN: Final = re.compile(
    r'(?P<plain>[^"\\]+)'
    r"|\\u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    r"|\\u(?P<code>[0-9a-fA-F]{4})"
    r"|\\(?P<letter>[^u])"
    r"|(?P<stray>\\u(?=[0-9a-fA-F]{0,3}[^0-9a-fA-F]))"
)
_HALF_PAIR: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?\Z")
_LETTERS: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}


class PlainText:
    """`text` is what has been read so far; the same however the arguments are cut."""

    def __init__(self) -> None:
        self._head = ""
        self._rest: str | None = None
        self._ended = False
        self._read: list[str] = []
        self._all: list[str] = []

    def feed(self, piece: str) -> str:
        """What `piece` adds to the text; "" while it cannot be known."""
        self._all.append(piece)
        if self._ended:
            return ""
        if self._rest is None:
            self._head += piece
            match = _HEAD.match(self._head)
            if match is None:
                self._ended = len(self._head) > _LONGEST_HEAD
                return ""
            piece, self._rest = self._head[match.end() :], ""
        read = self._unescape(self._rest + piece)
        self._read.append(read)
        return read

    def end(self) -> str:
        """The text as a whole, after the last piece."""
        return plain_input("".join(self._all)) if self._rest is None else "".join(self._read)

    def _unescape(self, text: str) -> str:
        made: list[str] = []
        at = 0
        while (token := _TOKEN.match(text, at)) and not _HALF_PAIR.match(text, at):
            at = token.end()
            if token["plain"]:
                made.append(token["plain"])
            elif token["high"]:
                pair = (int(token["high"], 16) & 0x3FF) << 10 | int(token["low"], 16) & 0x3FF
                made.append(chr(0x10000 + pair))
            elif token["code"]:
                code = int(token["code"], 16)
                made.append("\ufffd" if 0xD800 <= code < 0xE000 else chr(code))
            elif token["letter"]:
                made.append(_LETTERS.get(token["letter"], token[0]))
            else:
                made.append(token[0])
        self._rest = text[at:]
        self._ended = self._rest.startswith('"')
        return "".join(made)
