"""Templates of a client's settings, filled in. Pure.

In a text may stand: ``{url}`` the leader, ``{api}`` the same with ``/v1``, ``{docker_api}`` the same as a container
on this machine reaches it, ``{key}``, ``{model}``, ``{context}`` and ``{output}`` its limits in tokens, ``{dir}`` the
folder of the file it stands in. A text that is one placeholder alone takes on its type.

``{$each_model: T}`` is T once for each model, where T may also say ``{id}``, ``{vision}`` (true or false), ``{input}``
(``["text"]`` or ``["text", "image"]``) and, for that model, ``{context}`` and ``{output}``: in a list it stands for so
many items; as a mapping it stands for the mappings T put together. ``$env`` alone is the client's variables.
``{$items: [...], by: NAME}`` are items of a list that others share, told apart by their field NAME.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_PATH = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Model:
    """What a client is told of a model: `context` and `output` in tokens."""

    id: str
    context: int
    output: int
    vision: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client is connected to. `url` is the leader's, without ``/v1``; `models` holds `model` too."""

    url: str
    key: str
    model: Model
    models: tuple[Model, ...]
    environ: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables that move a client's files, such as CODEX_HOME."""
    home: str = "~"


UNKNOWN_CONTEXT = 32_768
"""What a client is told where the leader does not say."""


def model(id: str, context: int, *, vision: bool = False) -> Model:
    """A model with a window of `context` tokens (0: not known); an answer may take a quarter of it."""
    context = context or UNKNOWN_CONTEXT
    return Model(id, context, max(256, min(32_000, context // 4)), vision)


class Item(msgspec.Struct, frozen=True):
    """In a path: the item of a list whose field `by` is `name`."""

    by: str
    name: str


Path = tuple[str | Item, ...]
Change = tuple[Path, Any]
"""Where in a document, and what has to stand there. Mappings are spelt out to their leaves, lists are one value."""


def place(path: str, connection: Connection) -> str:
    """A path of the catalog on this machine."""
    moved = _PATH.sub(lambda m: connection.environ.get(m[1]) or m[2], path)
    return connection.home + moved[1:] if moved.startswith("~") else moved


def values(connection: Connection) -> dict[str, object]:
    """What each placeholder stands for, beyond those of one file or one model."""
    url = connection.url.rstrip("/")
    chosen = connection.model
    return {
        "url": url,
        "api": f"{url}/v1",
        "docker_api": f"{_from_a_container(url)}/v1",
        "key": connection.key,
        "model": chosen.id,
        "context": chosen.context,
        "output": chosen.output,
    }


def fill(template: Any, known: Mapping[str, object], models: tuple[Model, ...] = ()) -> Any:
    """`template` with its placeholders replaced; `$items` and `$env` stay, for `changes`."""
    match template:
        case str():
            return _text(template, known)
        case {"$each_model": inner, **rest} if not rest:
            together: dict[str, Any] = {}
            for filled in _each(inner, known, models):
                together |= filled
            return together
        case dict():
            mapping = cast("dict[str, Any]", template)
            return {str(_text(k, known)): fill(v, known, models) for k, v in mapping.items()}
        case list():
            return list(_items(cast("list[Any]", template), known, models))
        case _:
            return template


def changes(filled: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[Change]:
    """The changes that a filled template means, in its order."""
    return _changes(filled, (), env)


def _changes(value: Any, path: Path, env: Mapping[str, str]) -> Iterator[Change]:
    match value:
        case "$env":
            yield from _changes(dict(env), path, env)
        case {"$items": items, "by": str(by)}:
            for item in cast("list[dict[str, Any]]", items):
                yield (*path, Item(by, str(item[by]))), item
        case dict() if value:
            for key, inner in cast("dict[str, Any]", value).items():
                yield from _changes(inner, (*path, key), env)
        case _:
            yield path, value


def _each(inner: Any, known: Mapping[str, object], models: tuple[Model, ...]) -> Iterator[Any]:
    for model in models:
        own = {
            "id": model.id,
            "context": model.context,
            "output": model.output,
            "vision": model.vision,
            "input": ["text", "image"] if model.vision else ["text"],
        }
        yield fill(inner, {**known, **own}, models)


def _items(template: list[Any], known: Mapping[str, object], models: tuple[Model, ...]) -> Iterator[Any]:
    for item in template:
        match item:
            case {"$each_model": inner, **rest} if not rest:
                yield from _each(inner, known, models)
            case _:
                yield fill(item, known, models)


def _text(text: str, known: Mapping[str, object]) -> object:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole and whole[1] in known:
        return known[whole[1]]
    return _PLACEHOLDER.sub(lambda m: str(known.get(m[1], m[0])), text)


def _from_a_container(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host in ("localhost", "::1") or host.startswith("127."):
        return f"{parts.scheme}://host.docker.internal:{parts.port or 80}"
    return url
