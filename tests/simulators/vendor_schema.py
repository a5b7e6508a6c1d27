"""JSON checked against the parameter types of a vendor's own client library: what it does not name is refused. Pure."""

import collections.abc
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin

from typing_extensions import get_type_hints, is_typeddict

Problem = Literal["unknown", "missing", "type", "value"]


@dataclass(frozen=True, slots=True)
class Complaint:
    """`path`: names and indices from the top; `wanted`: what would have been right."""

    problem: Problem
    path: tuple[str | int, ...]
    wanted: str = ""
    found: Any = None


def complaints(
    value: Any, kind: Any, path: tuple[str | int, ...] = (), lax: Mapping[type, frozenset[str]] | None = None
) -> Iterator[Complaint]:
    """What is wrong with a value for a type; `lax`: fields with which the vendor is not as strict as its type is: they
    may be left out or null, or are taken though it does not name them."""
    origin = get_origin(kind)
    if origin in (Required, NotRequired):
        yield from complaints(value, get_args(kind)[0], path, lax)
    elif origin in (Union, types.UnionType):
        yield from _union(value, get_args(kind), path, lax)
    elif origin is Literal:
        if value not in get_args(kind) or isinstance(value, bool) != isinstance(get_args(kind)[0], bool):
            yield Complaint("value", path, ", ".join(map(repr, get_args(kind))), value)
    elif is_typeddict(kind):
        yield from _object(value, kind, path, lax)
    elif origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            yield Complaint("type", path, "object", value)
        else:
            for name, inner in value.items():
                yield from complaints(inner, get_args(kind)[1], (*path, name), lax)
    elif kind is str:
        yield from _plain(value, str, "string", path)
    elif kind is bool:
        yield from _plain(value, bool, "boolean", path)
    elif kind is int:
        yield from _plain(value, int, "integer", path)
    elif kind is float:
        yield from _plain(value, (int, float), "number", path)
    elif kind is type(None):
        yield from _plain(value, type(None), "null", path)
    elif origin is not None and get_args(kind):  # lists, iterables, and the libraries' own sequences
        if not isinstance(value, list):
            yield Complaint("type", path, "array", value)
        else:
            for i, inner in enumerate(value):
                yield from complaints(inner, get_args(kind)[0], (*path, i), lax)


@cache
def fields(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """The types of a typed dictionary, and the names it cannot do without."""
    hints = get_type_hints(kind, include_extras=True)
    return hints, frozenset(name for name, hint in hints.items() if get_origin(hint) is Required)


def _object(value: Any, kind: Any, path: tuple[str | int, ...], lax: Any) -> Iterator[Complaint]:
    if not isinstance(value, dict):
        yield Complaint("type", path, "object", value)
        return
    known, required = fields(kind)
    free: frozenset[str] = (lax or {}).get(kind, frozenset())
    for name in sorted(required - value.keys() - free):
        yield Complaint("missing", (*path, name))
    for name, inner in value.items():
        if name in free and (inner is None or name not in known):
            continue
        if name in known:
            yield from complaints(inner, known[name], (*path, name), lax)
        else:
            yield Complaint("unknown", (*path, name))


def _union(value: Any, kinds: tuple[Any, ...], path: tuple[str | int, ...], lax: Any) -> Iterator[Complaint]:
    """Nothing when one of them fits; else the complaints about the one that was meant. Objects of the library's own
    (as answers hold them) are as its parameters on the wire."""
    wires = [kind for kind in kinds if not (isinstance(kind, type) and hasattr(kind, "model_fields"))]
    found = [list(complaints(value, kind, path, lax)) for kind in wires]
    if not all(found):
        return
    yield from min(found, key=lambda each: (_strangeness(each, path), len(each)))


def _strangeness(found: list[Complaint], path: tuple[str | int, ...]) -> int:
    """Of a form that is not even of the right type, or kind of block."""
    depth = len(path)
    wrong = [c for c in found if c.problem in ("type", "value")]
    if any(len(c.path) == depth for c in wrong):
        return 3
    if any(c.path[depth:] == ("type",) for c in wrong) or any(
        c.problem == "missing" and c.path[depth:] == ("type",) for c in found
    ):
        return 2
    return 1 if any(c.path[depth:] == ("role",) for c in wrong) else 0


def _plain(value: Any, kind: Any, wanted: str, path: tuple[str | int, ...]) -> Iterator[Complaint]:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        yield Complaint("type", path, wanted, value)
