"""How each client is set up for this leader, and invitations: a key for somebody, with all of that on a card."""

import asyncio
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, QueryParameter

from controlplane.api.auth import ApiRequest
from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, act, read
from controlplane.api.services import Needs, Services
from controlplane.api.shapes import Page
from controlplane.api.tokens import CreateToken, KeyName, NewToken, bound_to, issue, leader_address
from controlplane.routing.resolve import AUTO, Wanted, resolve
from controlplane.routing.table import Route
from flockpy.clients import template
from flockpy.clients.card import card
from flockpy.clients.catalog import load_clients
from flockpy.clients.entry import Client
from flockpy.clients.render import rendered
from flockpy.clients.rendered import Rendered
from flockpy.clients.template import Connection, Model
from flockpy.errors import BadRequest, NotFound

PLACEHOLDER = "YOUR_FLOCKPY_KEY"
"""Stands for the key where none is made."""
_CHAT: Final = Wanted("chat")


_ADDRESS = r"^https?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!-~]*)?$"
Address = Annotated[str, msgspec.Meta(pattern=_ADDRESS, max_length=1000)]


class Invite(msgspec.Struct, frozen=True):
    """A user's key for `name`, and its card. Limits as for a key.

    `clients`: the ids on the card, all when left out. `model`: what they are set up with, else ``auto``. `base_url`:
    where the leader is found from where they are, when it is not where it says itself.
    """

    name: KeyName
    daily_token_quota: Annotated[int, msgspec.Meta(ge=1, le=2**53)] | None = None
    models: Annotated[list[str], msgspec.Meta(min_length=1, max_length=1000)] | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    clients: Annotated[list[str], msgspec.Meta(min_length=1, max_length=100)] | None = None
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    base_url: Address | None = None


class Invitation(NewToken, frozen=True, kw_only=True):
    """`card` is Markdown to paste to them; `clients` holds the same for programs."""

    base_url: str
    model: str
    clients: list[Rendered]
    card: str


ModelQuery = Annotated[
    str | None, QueryParameter(description="The model to set them up with.", max_length=200)
]
UrlQuery = Annotated[
    str | None,
    QueryParameter(description="Where clients find this leader.", pattern=_ADDRESS, max_length=1000),
]


@read(f"{ADMIN}/clients", "List the clients and how each is set up", may=(404,))
async def list_clients(
    services: Needs,
    model: ModelQuery = None,
    base_url: UrlQuery = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Rendered]:
    """With a placeholder for the key."""
    clients = await _catalog(services)
    connection = _connection(services, PLACEHOLDER, model, base_url, None)
    return await asyncio.to_thread(
        page, clients.values(), limit, cursor, lambda c: c.id, lambda c: rendered(c, connection)
    )


@act(
    f"{ADMIN}/invites",
    "Make a key for somebody, with a card to paste",
    action="invite.create",
    status=201,
    may=(404, 409),
)
async def create_invite(data: JSONBody[Invite], request: ApiRequest, services: Needs) -> Invitation:
    catalog = await _catalog(services)
    for position, id in enumerate(data.clients or ()):
        if id not in catalog:
            raise NotFound(
                f"There is no client {id}.",
                field=f"clients[{position}]",
                hint=f"there are: {', '.join(catalog)}",
            )
    token = CreateToken(
        name=data.name,
        daily_token_quota=data.daily_token_quota,
        models=data.models,
        expires_at=data.expires_at,
    )
    new = await issue(token, services)
    request.user.note(new.id, name=new.name, quota=new.daily_token_quota, **bound_to(data.models))
    connection = _connection(services, new.key, data.model, data.base_url, data.models)
    chosen = data.clients or list(catalog)
    shown = await asyncio.to_thread(
        lambda: [rendered(catalog[id], connection) for id in dict.fromkeys(chosen)]
    )
    return Invitation(
        **msgspec.structs.asdict(new),
        base_url=connection.url,
        model=connection.model.id,
        clients=shown,
        card=card(data.name, connection.url, new.key, shown),
    )


HANDLERS: list[HTTPRouteHandler] = [list_clients, create_invite]


async def _catalog(services: Services) -> dict[str, Client]:
    return await asyncio.to_thread(load_clients, services.config.catalog_dir)


def _connection(
    services: Services, key: str, wanted: str | None, url: str | None, allowed: list[str] | None
) -> Connection:
    """What clients are connected to: the models that chat, of those that are `allowed`. Of vendors' models, of which
    there are many, only the one that is `wanted` and those that a key is bound to."""
    table = services.table()
    vendors = [route for name in allowed or () if (route := table.vendors.route(name)) is not None]
    usable = {
        route.model_id: _model(route.model_id, route, services)
        for route in (*sorted(table.routes.values(), key=lambda route: route.model_id), *vendors)
        if "chat" in route.capabilities and (allowed is None or route.model_id in allowed)
    }
    default = usable.get(table.default_model or "")
    if default is not None:
        usable = {AUTO: template.model(AUTO, default.context, vision=default.vision), **usable}
    chosen = wanted or (AUTO if AUTO in usable or not usable else next(iter(usable)))
    if chosen not in usable:
        route = resolve(chosen, _CHAT, table, None)
        known = _model(chosen, route, services) if isinstance(route, Route) else None
        least = min((m.context for m in usable.values()), default=0)
        usable = {chosen: known or template.model(chosen, least), **usable}
    return Connection(
        _checked(url) or leader_address(services).rstrip("/"), key, usable[chosen], tuple(usable.values())
    )


def _checked(url: str | None) -> str:
    """An address that a client could go to, "" for none. Raises BadRequest for what only looks like one."""
    try:
        parts = urlsplit(url or "")
        _ = parts.port
    except ValueError as error:
        raise BadRequest(f"base_url: {error}", field="base_url") from None
    return (url or "").rstrip("/")


def _model(id: str, route: Route, services: Services) -> Model:
    """One that is not loaded names the window it was trained for; it will be loaded with the default at most."""
    context = route.context_window
    if not route.replicas and not route.vendor:
        context = min(context, services.config.engine.defaults.context)
    return template.model(id, context, vision="vision" in route.capabilities)
