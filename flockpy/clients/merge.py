"""Putting a client's settings into a document, and taking exactly them out again."""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from flockpy.clients.documents import MISSING, Document
from flockpy.clients.template import Change, Item, Path


class Done(msgspec.Struct, frozen=True):
    """One change that was made: `before` is what stood there, if anything did (`existed`)."""

    path: Path
    after: Any
    existed: bool = False
    before: Any = None


class Merged(msgspec.Struct, frozen=True):
    """What was done to a document: its changes, and the mappings and lists that were made on the way."""

    done: tuple[Done, ...] = ()
    made: tuple[Path, ...] = ()


def merge(document: Document, changes: Iterable[Change], defaults: Iterable[Change] = ()) -> Merged:
    """Make the changes that are not so already; `defaults` only where nothing stands."""
    done: list[Done] = []
    made: list[Path] = []
    for path, value in defaults:
        if document.get(path) is MISSING and not any(_blocks(document, path, d) for d in range(1, len(path))):
            done.append(_set(document, path, value, MISSING, made))
    for path, value in _lifted(document, changes):
        done.append(_set(document, path, value, document.get(path), made))
    return Merged(tuple(done), tuple(made))


def as_value(changes: Iterable[Change]) -> Any:
    """What a document holds in which nothing but these changes stands."""
    whole: Any = {}
    for path, value in changes:
        whole = _joined(whole, _nested(path, value))
    return whole


def undo(document: Document, merged: Merged) -> list[Path]:
    """Take a merge back. What was changed since is left as it is; answers where that is so."""
    kept: list[Path] = []
    for one in reversed(merged.done):
        now = document.get(one.path)
        if now != one.after:
            if now is not MISSING:
                kept.append(one.path)
        elif one.existed:
            document.set(one.path, one.before)
        else:
            document.remove(one.path)
    for path in reversed(merged.made):
        if document.get(path) in ({}, []):
            document.remove(path)
    return kept[::-1]


def _set(document: Document, path: Path, value: Any, before: Any, made: list[Path]) -> Done:
    if before != value:
        for depth in range(1, len(path)):
            if document.get(path[:depth]) is MISSING:
                made.append(path[:depth])
        document.set(path, value)
    return Done(path, value, before is not MISSING, None if before is MISSING else before)


def _lifted(document: Document, changes: Iterable[Change]) -> list[Change]:
    """The changes, with those below something that is neither mapping nor list (``model: name``) put in its place."""
    found: dict[Path, Any] = {}
    for path, value in changes:
        blocked = next((depth for depth in range(1, len(path)) if _blocks(document, path, depth)), None)
        if blocked is None:
            found[path] = value
            continue
        found[path[:blocked]] = _joined(found.get(path[:blocked]), _nested(path[blocked:], value))
    return list(found.items())


def _blocks(document: Document, path: Path, depth: int) -> bool:
    stands = document.get(path[:depth])
    return stands is not MISSING and not isinstance(stands, list if isinstance(path[depth], Item) else dict)


def _nested(path: Path, value: Any) -> Any:
    for step in reversed(path):
        value = {step: value} if isinstance(step, str) else [value]
    return value


def _joined(one: Any, other: Any) -> Any:
    match one, other:
        case dict(), dict():
            left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
            return left | {key: _joined(left.get(key), value) for key, value in right.items()}
        case list(), list():
            return cast("list[Any]", one) + cast("list[Any]", other)
        case _:
            return other
