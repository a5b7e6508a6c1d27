"""What a format of leaked output is, as data: where it may begin, what it opens with, how it is read. Pure.

A `Format` is one entry of the table in `formats`. Where one of its openers stands, a `Reader` is made and given all
text from the opener on, again whenever more has come, until it answers what stands there.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, Protocol

from controlplane.protocols.rescue.offered import Offered


class More(Enum):
    """Answered while what stands there cannot be known yet."""

    MORE = 0


MORE: Final = More.MORE
ANY: Final = re.compile(r"")


@dataclass(frozen=True, slots=True)
class Call:
    """A call that was found. `arguments`: strict JSON; `id` "" without one."""

    name: str
    arguments: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What stands in `text[:end]`: `calls`, or a tag after which the model is `thinking` or no longer is.

    `cut`: the end was missing, and is known all the same. `orphan`: all that stood before was thinking too. `bare`:
    white space after it belongs to it.
    """

    end: int
    calls: tuple[Call, ...] = ()
    thinking: bool | None = None
    cut: bool = False
    orphan: bool = False
    bare: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where in an answer an opener stands. `blank`: nothing but white space before it; `line`: nothing else before it
    on its line; `thinking`: in reasoning; `quoted`: in a fence or between backticks."""

    blank: bool
    line: bool
    thinking: bool
    quoted: bool = False


class Reader(Protocol):
    """Reads one candidate. `wake`: only more text that this matches can change what it last answered."""

    wake: re.Pattern[str]

    def read(self, text: str, final: bool, cut: bool) -> Found | More | None:
        """What `text`, which begins with the opener, amounts to; None: it is just text.

        `final`: nothing more comes, never answers MORE; `cut`: because the model was stopped.
        """
        ...


@dataclass(frozen=True, slots=True)
class Format:
    """One way in which models write what engines should have understood.

    `where` an opener counts: "anywhere", at the start of a "line" or of the whole "answer". `tail` says what may follow
    one: "free" anything, "line" the same, but a call in mid-line must be the end of its line, "last" nothing. `calls`:
    looked for only when tools are offered. `thoughts`: also looked for in reasoning. `after`: only once a format of
    that kind was found in the same answer.
    """

    kind: str
    openers: tuple[str, ...]
    reader: Callable[[Offered, Place, str], Reader]
    where: Literal["anywhere", "line", "answer"] = "anywhere"
    tail: Literal["free", "line", "last"] = "line"
    calls: bool = True
    thoughts: bool = True
    after: str = ""


def begins(text: str, at: int, literals: tuple[str, ...]) -> str | More | None:
    """Which of the literals stands there; MORE when one of them might."""
    rest = text[at : at + max(map(len, literals), default=0)]
    might = False
    for literal in literals:
        if rest.startswith(literal):
            return literal
        might = might or literal.startswith(rest)
    return MORE if might else None


_SPACE: Final = re.compile(r"\s*")


def skip(text: str, at: int) -> int:
    """The place of the next character that is no white space."""
    found = _SPACE.match(text, at)
    return found.end() if found else at
