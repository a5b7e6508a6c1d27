"""``flockpy connect`` and ``flockpy disconnect``: they print; only ``--write`` changes a client's files."""

import os
from typing import Annotated

import msgspec
import typer

from flockpy.cli import output
from flockpy.cli.client import AsJson, BaseUrl
from flockpy.cli.clients import PLACEHOLDER, connection, key_name, list_clients, own_key, pick_client
from flockpy.clients.card import exports, sheet, undo_sheet
from flockpy.clients.entry import Client
from flockpy.clients.files import ConnectedFiles, Outcome
from flockpy.clients.render import rendered, settings, unwritten
from flockpy.clients.template import Connection, model
from flockpy.errors import StartError
from flockpy.settings import Settings, load

ClientId = Annotated[str, typer.Argument(metavar="CLIENT", help="A client's id, such as claude-code.")]
List = Annotated[bool, typer.Option("--list", help="List the clients.")]
Key = Annotated[
    str, typer.Option("--token", metavar="KEY", help="The key the client gets, instead of $FLOCK_TOKEN.")
]
Write = Annotated[bool, typer.Option("--write", help="Change the client's own files.")]


def connect(
    client: ClientId = "",
    list_: List = False,
    model: Annotated[str, typer.Option(metavar="ID", help="The model it asks for.")] = "",
    write: Write = False,
    base_url: BaseUrl = "",
    token: Key = "",
    as_json: AsJson = False,
) -> None:
    """Print the exact settings for a client; with --write, put them into its files."""
    loaded = load(os.environ)
    if list_:
        list_clients(loaded, as_json)
        return
    chosen = pick_client(client, loaded, interactive=not as_json)
    key = token or os.environ.get("FLOCK_TOKEN", "").strip()
    made = connection(chosen, loaded, base_url, key, model)
    shown = rendered(chosen, made)
    for warning in shown.warnings:
        output.note(f"warning: {warning}")
    if write and chosen.files:
        if made.key == PLACEHOLDER:
            raise StartError("there is no key to write", hint="flockpy token create, then --token KEY")
        _write(chosen, made, loaded)
    elif as_json:
        output.document(msgspec.to_builtins(shown))
    else:
        output.line(sheet(shown))
        for need in shown.needs:
            output.note(f"- {need}")
        if write:
            output.note(f"{chosen.name} keeps no file that could be written; the above is for you to do")
        elif chosen.files:
            output.note(f"to have it written: flockpy connect {chosen.id} --write")


def disconnect(
    client: ClientId = "",
    list_: List = False,
    write: Write = False,
    as_json: AsJson = False,
) -> None:
    """Print how to undo a client's settings; with --write, take out of its files what connect --write put there."""
    loaded = load(os.environ)
    if list_:
        list_clients(loaded, as_json)
        return
    chosen = pick_client(client, loaded, interactive=not as_json)
    files = _files(chosen, loaded)
    if own_key(chosen, loaded).exists():
        output.note(f"the key it got still works; to take it away: flockpy token revoke '{key_name(chosen)}'")
    if write and files.connected:
        for outcome in files.disconnect():
            output.line(_said(outcome))
        return
    anything = model("auto", 0)
    shown = rendered(chosen, Connection("http://localhost", "", anything, (anything,), os.environ))
    if as_json:
        output.document(
            {"id": shown.id, "unset": list(shown.env), "undo": list(shown.undo), "written": files.connected}
        )
        return
    output.line(undo_sheet(shown))
    if files.connected:
        output.note(f"to have its files as they were: flockpy disconnect {chosen.id} --write")
    elif write:
        output.note("nothing was written for it by flockpy connect --write; the above is for you to do")


def _write(client: Client, made: Connection, loaded: Settings) -> None:
    for outcome in _files(client, loaded).connect(settings(client, made)):
        output.line(_said(outcome))
    if env := unwritten(client, made):
        output.note("and in your shell, or its profile:")
        output.line(exports(env))


def _files(client: Client, loaded: Settings) -> ConnectedFiles:
    return ConnectedFiles(loaded.data.clients / f"{client.id}.json")


def _said(outcome: Outcome) -> str:
    kept = f"; changed since, and left: {', '.join(outcome.kept)}" if outcome.kept else ""
    return f"{_DID[outcome.did]} {outcome.path}{kept}"


_DID = {
    "written": "wrote",
    "unchanged": "already so:",
    "restored": "as it was before:",
    "removed": "removed",
    "cleaned": "took our settings out of",
    "gone": "no longer there:",
}
