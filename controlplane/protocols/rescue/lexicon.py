"""What to look for in a text, as one pattern: text in which it finds nothing needs no other look. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controlplane.protocols.rescue.base import Format


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Some formats, by the first character of their openers.

    `marks` finds the first characters of openers, which most text has none of. `first` finds where a format may begin
    while an answer is blank, `later` after that; group 1 or 2 is the place. What only counts at the start of a line is
    only found there; the start of the text may be one.
    """

    formats: Mapping[str, tuple[Format, ...]]
    marks: re.Pattern[str]
    first: re.Pattern[str]
    later: re.Pattern[str]


def lexicon(entries: Iterable[Format]) -> Lexicon:
    formats: dict[str, tuple[Format, ...]] = {}
    for entry in entries:
        for mark in dict.fromkeys(opener[0] for opener in entry.openers):
            formats[mark] = (*formats.get(mark, ()), entry)
    every = {entry for some in formats.values() for entry in some}
    marks = re.compile(f"[{re.escape(''.join(sorted(formats)))}]" if formats else "(?!)")
    return Lexicon(
        formats, marks, _pattern(every), _pattern(entry for entry in every if entry.where != "answer")
    )


def _pattern(entries: Iterable[Format]) -> re.Pattern[str]:
    anywhere: set[str] = set()
    in_line: set[str] = set()
    for entry in entries:
        (anywhere if entry.where == "anywhere" else in_line).update(entry.openers)
    return re.compile(rf"({_any(anywhere)})|^[^\S\n]*({_any(in_line)})", re.MULTILINE)


def _any(openers: Iterable[str]) -> str:
    return "|".join(map(_begun, sorted(openers))) or "(?!)"


def _begun(opener: str) -> str:
    """A pattern for an opener, or as much of it as stands at the end of the text."""
    pattern = ""
    for mark in reversed(opener[1:]):
        pattern = rf"(?:\Z|{re.escape(mark)}{pattern})"
    return re.escape(opener[0]) + pattern
