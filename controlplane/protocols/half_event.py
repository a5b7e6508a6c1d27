"""How a stream's last event ends that its engine left half said, and its client has already. Pure."""

import re
from typing import Final

_BLANK: Final = re.compile(rb"\n\r?\n")
_DATA: Final = re.compile(rb"data: ?")
_DONE: Final = b"[DONE]"
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_LITERAL: Final = re.compile(rb"[-+.0-9A-Za-z]++")
_WORDS: Final = (b"true", b"false", b"null")
_SPACE: Final = b"0020"
"""Of an escape that stands for a character, as many digits as it lacks."""


def half(tail: bytes) -> bytes:
    """The beginning of an event at the end of a stream, of which `tail` is the last; b"" where the last is whole."""
    end = max((match.end() for match in _BLANK.finditer(tail)), default=0)
    return tail[end:]


def ending(half: bytes, error: bytes) -> bytes:
    """The rest of an event that begins with `half`: JSON that was cut is closed, with what the JSON object `error` says
    in it, so that clients neither fail on it nor take it for a part of the answer.

    What is no JSON object is only ended. Blank lines after it are the caller's.
    """
    letter = _rest_of_letter(half)
    line = (half + letter).rpartition(b"\n")[2]
    data = _DATA.match(line)
    if data is None or b"\ndata:" in half:
        return letter
    value = line[data.end() :]
    if value and _DONE.startswith(value):
        return letter + _DONE[len(value) :]
    return letter + _closed(value, error)


def _rest_of_letter(half: bytes) -> bytes:
    """What is missing of a character of several bytes."""
    for back in range(1, min(len(half), 3) + 1):
        byte = half[-back]
        if byte < 0x80:
            return b""
        if byte >= 0xC0:
            missing = (1 if byte < 0xE0 else 2 if byte < 0xF0 else 3) - (back - 1)
            first = {0xE0: b"\xa0", 0xF0: b"\x90"}.get(byte, b"\x80") if back == 1 else b"\x80"
            return (first + b"\x80\x80")[: max(missing, 0)]
    return b""


def _closed(value: bytes, error: bytes) -> bytes:
    """The rest of a JSON object that begins with `value`; b"" where it is whole, or none."""
    if not value:
        return error
    if not value.startswith(b"{"):
        return b""
    open_: list[int] = []
    at, before, added = (
        0,
        b"",
        b"",
    )  # `before`: the last token, of which a string is "k" where it names a member
    while at < len(value):
        byte = value[at : at + 1]
        if byte == b'"':
            named = bool(open_) and open_[-1] == ord("{") and before in (b"{", b",")
            before = b"k" if named else b"v"
            if string := _STRING.match(value, at):
                at = string.end()
            else:
                at, added = len(value), _end_of_string(value)
        elif literal := _LITERAL.match(value, at):
            at, before = literal.end(), b"v"
            if at == len(value):
                added = _end_of_literal(literal[0])
        else:
            at += 1
            if byte in b"{[":
                open_.append(byte[0])
            elif byte in b"}]" and open_:
                open_.pop()
                if not open_:
                    return b""
            before = before if byte.isspace() else b"v" if byte in b"}]" else byte
    for depth in range(len(open_), 0, -1):
        top = depth == 1
        if before == b"k":
            added += b":null"
        elif before == b":" or (before == b"," and open_[-1] == ord("[")):
            added += b"null"
        if top:
            added += error[1:] if before in (b"{", b",") else b"," + error[1:]
        else:
            kind = open_.pop()
            added += b'"":null' if before == b"," and kind == ord("{") else b""
            added += b"}" if kind == ord("{") else b"]"
        before = b"v"
    return added


def _end_of_string(value: bytes) -> bytes:
    escape = _ESCAPE.search(value)
    if escape is None or _backslashes_before(value, escape.start()) % 2:
        return b'"'
    digits = len(escape[0]) - 2
    return (b"n" if digits < 0 else _SPACE[digits:]) + b'"'


def _backslashes_before(value: bytes, at: int) -> int:
    return at - len(value[:at].rstrip(b"\\"))


def _end_of_literal(literal: bytes) -> bytes:
    for word in _WORDS:
        if word.startswith(literal):
            return word[len(literal) :]
    return b"0" if literal[-1:] in b"-+.eE" else b""
