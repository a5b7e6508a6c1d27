"""What the commands about clients share: which there are, which are here, what they are connected to."""

import os
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from flockpy.cli import output
from flockpy.cli.client import Api, ApiError, admin_key, is_loopback_url, leader_url, running_url
from flockpy.cli.pick import choose
from flockpy.clients.catalog import load_clients
from flockpy.clients.entry import Client
from flockpy.clients.template import Connection, Model, model
from flockpy.security import private_dir, write_private
from flockpy.settings import Settings

AUTO = "auto"
PLACEHOLDER = "YOUR_FLOCKPY_KEY"
"""Stands in the settings where no key could be had."""
TIMEOUT_S = 10.0
SHOWN = 12
"""How many models a message names."""
_PICKED = "claude-flock-"
"""Begins the second names of models, which are there for Claude Code's picker."""


class _Listed(msgspec.Struct):
    id: str
    context_window: int = 0
    capabilities: list[str] = []
    loaded: bool = True


class _Listing(msgspec.Struct):
    data: list[_Listed]


def is_here(client: Client) -> bool:
    """Whether a client is installed on this machine."""
    home = str(Path.home())
    traces = (Path(trace.replace("~", home, 1)) for trace in client.traces)
    return any(map(shutil.which, client.programs)) or any(trace.exists() for trace in traces)


def pick_client(given: str, settings: Settings, *, interactive: bool) -> Client:
    """The client that was meant; those on this machine are offered first."""
    clients = load_clients(settings.config.catalog_dir)
    here = {id: is_here(client) for id, client in clients.items()}
    words = {
        id: clients[id].name + (", on this machine" if here[id] else "")
        for id in sorted(clients, key=lambda id: not here[id])
    }
    return clients[choose(given, "client", words, interactive=interactive)]


def list_clients(settings: Settings, as_json: bool) -> None:
    """Print every client of the catalog."""
    clients = load_clients(settings.config.catalog_dir).values()
    if as_json:
        facts: list[dict[str, Any]] = [
            {
                "id": client.id,
                "name": client.name,
                "kind": client.kind,
                "protocols": list(client.protocols),
                "installed": is_here(client),
                "homepage": client.homepage,
            }
            for client in clients
        ]
        output.document({"items": facts, "next_cursor": None})
        return
    output.table(
        ("id", "name", "set up by", "speaks", "here"),
        ((c.id, c.name, _BY[c.kind], ", ".join(c.protocols), "yes" if is_here(c) else "-") for c in clients),
        empty="the catalog knows no client",
    )


_BY = {"env": "variables", "file": "its file", "gui": "hand", "code": "your code"}


def connection(client: Client, settings: Settings, base_url: str, given: str, wanted: str) -> Connection:
    """What `client` is to be connected to: the leader, a key, and the models it offers.

    The key is `given`, else the client's own, which is made when there is none yet and this machine may; else a
    placeholder. Raises ApiError when the leader refuses.
    """
    url = (base_url or leader_url(settings)).rstrip("/")
    door = running_url(settings) or url
    limit = settings.config.engine.defaults.context
    kept = own_key(client, settings)
    key = given or _read(kept)
    models: tuple[Model, ...] = ()
    try:
        try:
            models = offered(door, key, limit) if key else ()
        except ApiError as error:
            if given or error.status_code != 401:
                raise
            key = ""  # the one it had was revoked
        if not key and (admin := admin_key(settings)):
            key = _make_key(Api(door, admin), client, kept)
            models = offered(door, key, limit)
    except ApiError as error:
        if error.status_code:
            raise
        output.note(f"{error.message}: the models it serves are not known, and no key was made")
    if given and models and _administers(Api(door, given)):
        output.note(
            f"warning: this is an admin's key, which {client.name} does not need; a user's: flockpy token create"
        )
    if not key:
        output.note(f"put a key in the place of {PLACEHOLDER}: flockpy token create, or --token")
    chosen = next((m for m in models if m.id == (wanted or AUTO)), None)
    if (
        chosen is None and models and wanted
    ):  # perhaps by a name that is not listed: a vendor's own, or a glob's
        chosen = next(iter(offered(door, key, limit, wanted)), None)
        if chosen is None:
            output.note(f"{wanted} is no model here that chats; there are: {_some(models)}")
    if chosen is None:
        chosen = model(wanted or AUTO, min((m.context for m in models), default=0))
    return Connection(
        url=url,
        key=key or PLACEHOLDER,
        model=chosen,
        models=models if chosen in models else (chosen, *models),
        environ=os.environ,
        home=str(Path.home()),
    )


def offered(url: str, key: str, limit: int, name: str = "") -> tuple[Model, ...]:
    """The models for chatting that a leader offers to a key; with `name` that one alone, which it may have without
    listing it. Raises ApiError.

    One that is not loaded names the window it was trained for; it will be loaded with `limit` at most.
    """
    import httpx

    headers = {"authorization": f"Bearer {key}"}
    path = f"/{quote(name, safe='')}" if name else ""
    try:
        answer = httpx.get(
            f"{url}/v1/models{path}", headers=headers, timeout=TIMEOUT_S, trust_env=not is_loopback_url(url)
        )
        if name and answer.status_code == 404:
            return ()
        if answer.status_code >= 400:
            raise ApiError(
                f"{url} answered {answer.status_code} to the key it was shown",
                status_code=answer.status_code,
                hint="is it a key of this leader, and not revoked? flockpy token ls",
            )
        content = b'{"data":[%b]}' % answer.content if name else answer.content
        listed = msgspec.json.decode(content, type=_Listing).data
    except httpx.HTTPError:
        raise ApiError(f"no leader answers at {url}", status_code=0) from None
    except msgspec.MsgspecError:
        raise ApiError(
            f"{url} answers, but it is no flockpy leader",
            status_code=502,
            hint="name the leader with --base-url",
        ) from None
    return tuple(
        model(
            one.id,
            one.context_window if one.loaded else min(one.context_window, limit),
            vision="vision" in one.capabilities,
        )
        for one in listed
        if (not one.capabilities or "chat" in one.capabilities) and not one.id.startswith(_PICKED)
    )


def _some(models: tuple[Model, ...]) -> str:
    """Their names, but not all of many."""
    names = [one.id for one in models]
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} others: flockpy model ls" if more > 0 else "")


def own_key(client: Client, settings: Settings) -> Path:
    """Where the key that a client got on this machine is kept."""
    return settings.data.clients / f"{client.id}.key"


def key_name(client: Client) -> str:
    return f"{client.id}@{socket.gethostname()}"[:99]


def _administers(api: Api) -> bool:
    try:
        api.get("/status")
    except ApiError:
        return False
    return True


def _make_key(api: Api, client: Client, path: Path) -> str:
    """A user's key for one client on this machine, kept for its owner only."""
    name = key_name(client)
    key = str(api.post("/tokens", {"name": name, "scope": "user"})["key"])
    private_dir(path.parent)
    write_private(path, key + "\n")
    output.note(f"made the key {name}; to take it away: flockpy token revoke '{name}'")
    return key


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
