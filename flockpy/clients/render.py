"""A client's settings for one leader, key and model: what the command line writes and prints, and the UI shows."""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flockpy.clients.documents import open_document
from flockpy.clients.entry import Client, Format, Snippet
from flockpy.clients.merge import as_value, merge
from flockpy.clients.rendered import Rendered, ShownFile
from flockpy.clients.template import Change, Connection, Path, changes, fill, place, values
from flockpy.config import is_loopback


@dataclass(frozen=True, slots=True)
class Settings:
    """What belongs into one file, as changes; `path` and `instead` are places on this machine."""

    path: str
    instead: tuple[str, ...]
    format: Format
    own: bool
    changes: tuple[Change, ...]
    defaults: tuple[Change, ...]


_NAMED = 8


def rendered(client: Client, connection: Connection) -> Rendered:
    """The settings of `client` for this connection."""
    known = values(connection)

    def texts(templates: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(fill(text, known)) if "{" in text else text for text in templates)

    return Rendered(
        id=client.id,
        name=client.name,
        kind=client.kind,
        protocols=client.protocols,
        homepage=client.homepage,
        env=variables(client, connection),
        files=tuple(
            ShownFile(one.path, one.format, _content(one), one.own) for one in settings(client, connection)
        ),
        steps=texts(client.steps),
        snippets=tuple(
            Snippet(s.language, str(fill(s.text, known)).rstrip("\n"), s.title) for s in client.snippets
        ),
        run=str(fill(client.run, known)),
        needs=texts(client.needs),
        undo=texts(client.undo)
        + tuple(f"take out of {f.path}: {_named(f)}" for f in settings(client, connection)),
        warnings=_warnings(client, connection),
    )


def variables(client: Client, connection: Connection) -> dict[str, str]:
    """The environment variables of a client."""
    known = values(connection)
    return {name: str(fill(value, {**known, "dir": connection.home})) for name, value in client.env.items()}


def unwritten(client: Client, connection: Connection) -> dict[str, str]:
    """The variables that none of the client's files carries for it."""
    carried = {path[-1] for file in settings(client, connection) for path, _ in file.changes}
    return {name: value for name, value in variables(client, connection).items() if name not in carried}


def settings(client: Client, connection: Connection) -> tuple[Settings, ...]:
    """What belongs into each of a client's files."""
    env = variables(client, connection)

    def made(template: Mapping[str, Any], folder: str) -> tuple[Change, ...]:
        known = {**values(connection), "dir": folder}
        return tuple(changes(fill(dict(template), known, connection.models), env))

    found: list[Settings] = []
    for file in client.files:
        path = place(file.path, connection)
        folder = path.rpartition("/")[0]
        found.append(
            Settings(
                path=path,
                instead=tuple(place(other, connection) for other in file.instead),
                format=file.format,
                own=file.own,
                changes=made(file.content, folder),
                defaults=made(file.defaults, folder),
            )
        )
    return tuple(found)


def _content(one: Settings) -> str:
    if one.format == "json":
        return json.dumps(as_value([*one.defaults, *one.changes]), indent=2, ensure_ascii=False) + "\n"
    document = open_document(one.format, "")
    merge(document, one.changes, one.defaults)
    return document.text()


def _named(one: Settings) -> str:
    if one.own:
        return "everything, the file is flockpy's"
    names = dict.fromkeys(_dotted(path) for path, _ in one.changes)
    return ", ".join(names) if len(names) <= _NAMED else f"the {len(names)} keys that connecting puts there"


def _dotted(path: Path) -> str:
    """A path for people, down to what is flockpy's own: ``provider.flockpy``."""
    steps = [step if isinstance(step, str) else f"the one whose {step.by} is {step.name}" for step in path]
    if "flockpy" in steps:
        steps = steps[: steps.index("flockpy") + 1]
    return ".".join(steps)


def _warnings(client: Client, connection: Connection) -> tuple[str, ...]:
    found: list[str] = []
    if client.public_https and not _is_public_https(connection.url):
        found.append(
            f"{client.name} asks from its maker's servers: {connection.url} cannot be reached from there. It needs a "
            "public https:// address: put a tunnel or a reverse proxy with a certificate before the leader, and set "
            "external_url to it"
        )
    if (context := connection.model.context) < client.min_context:
        found.append(
            f"{client.name} refuses models with a window below {client.min_context} tokens; {connection.model.id} "
            f"has {context}"
        )
    return tuple(found)


def _is_public_https(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        private = not ipaddress.ip_address(host).is_global
    except ValueError:
        private = (
            is_loopback(host)
            or "." not in host
            or host.endswith((".local", ".lan", ".internal", ".home.arpa"))
        )
    return parts.scheme == "https" and not private
