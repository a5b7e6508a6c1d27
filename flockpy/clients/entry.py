"""A client as its YAML file in ``catalog/clients`` describes it. Pure.

Texts are templates: see `flockpy.clients.template` for what may stand in braces.
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from flockpy.entries import Part, fit, wrong

Kind = Literal["env", "file", "gui", "code"]
"""How a client is set up: by variables, in a file of its own, by hand in its window, or in its user's code."""
Protocol = Literal["openai-chat", "openai-responses", "anthropic-messages"]
Format = Literal["json", "toml", "yaml"]
"""``json`` is read with comments, trailing commas and JSON5's bare names: what clients allow in their settings."""

Text = Annotated[str, Meta(min_length=1)]
Variable = Annotated[str, Meta(pattern=r"^[A-Z_][A-Z0-9_]*$")]
Id = Annotated[str, Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class ClientFile(Part, frozen=True):
    """A settings file. `path` starts with ``~/`` or with ``${VARIABLE:-~/…}``; `instead`: other names of the same
    file, of which the first that exists is taken.

    `content` is what must stand in it, `defaults` what must stand in it unless something else does. `own`: the whole
    file is ours.
    """

    path: Annotated[str, Meta(pattern=r"^(~/|\$\{[A-Z_]+:-~/)")]
    format: Format
    content: dict[str, Any]
    defaults: dict[str, Any] = msgspec.field(default_factory=dict[str, Any])
    instead: tuple[Text, ...] = ()
    own: bool = False


class Snippet(Part, frozen=True):
    """Text to paste: `language` such as ``python``, ``sh`` or ``json``."""

    language: Text
    text: Text
    title: str = ""


class Client(Part, frozen=True):
    """One client. `protocols` are those it speaks with flockpy, the preferred one first.

    It is on this machine when one of `programs` is on PATH or one of `traces` (paths) exists. `needs` are facts
    about it that whoever sets it up should know. `public_https`: its requests come from its maker's servers.
    `min_context`: it refuses models with a smaller window, in tokens.
    `run` starts it. `undo` are steps that take the settings back by hand, beyond its variables and files.
    """

    id: Id
    name: Text
    homepage: Annotated[str, Meta(pattern=r"^https://")]
    kind: Kind
    protocols: Annotated[tuple[Protocol, ...], Meta(min_length=1)]
    programs: tuple[Text, ...] = ()
    traces: tuple[Text, ...] = ()
    needs: tuple[Text, ...] = ()
    public_https: bool = False
    min_context: Annotated[int, Meta(ge=0)] = 0
    env: dict[Variable, str] = msgspec.field(default_factory=dict[Variable, str])
    files: tuple[ClientFile, ...] = ()
    steps: tuple[Text, ...] = ()
    snippets: tuple[Snippet, ...] = ()
    run: str = ""
    undo: tuple[Text, ...] = ()


_CARRIES = {"env": "env", "file": "files", "gui": "steps", "code": "snippets"}


def parse(content: object, source: str) -> Client:
    """The client that the decoded YAML of the file `source` describes.

    Raises StartError that names the file and the field.
    """
    client = fit(content, Client, source)
    carried = _CARRIES[client.kind]
    if not getattr(client, carried):
        raise wrong(source, carried, f"a client of kind {client.kind} needs it")
    if client.kind == "gui" and not client.undo:
        raise wrong(source, "undo", "what is set by hand is taken back by hand: it needs the steps")
    if not client.programs and not client.traces and client.kind == "file":
        raise wrong(source, "programs", "neither programs nor traces tell whether it is on a machine")
    for name in re.findall(r"\{[a-z_.]+\}", _texts(msgspec.to_builtins(client))):
        if name.strip("{}") not in PLACEHOLDERS:
            raise wrong(source, "", f"nothing is known to stand for {name}: there are {sorted(PLACEHOLDERS)}")
    return client


PLACEHOLDERS = frozenset(
    {"url", "api", "docker_api", "key", "model", "context", "output", "dir"} | {"id", "vision", "input"}
)
"""What may stand in braces: `flockpy.clients.template` says what for."""


def _texts(value: object) -> str:
    return msgspec.json.encode(value).decode()
