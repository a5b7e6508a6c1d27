"""Who may call what. A route is for admins unless it says otherwise; the check comes before the body."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from controlplane.api.services import Services
from controlplane.tenants import access
from controlplane.tenants.model import LOCAL_USER, Key
from flockpy.errors import Forbidden, Unauthenticated

Access = Literal["open", "local", "any", "node", "admin"]
"""``open`` to all; ``local``: open on loopback, else any key; ``any`` key; a node's key; an admin's key."""


@dataclass(slots=True)
class Call:
    """What is known of a call beside its request: who makes it, what the audit trail should say."""

    key: Key | None = None
    changes: bool = True
    """False: this call of a route that changes something does not."""
    target: str = ""
    facts: dict[str, str | int | float | bool | None] = field(
        default_factory=dict[str, str | int | float | bool | None]
    )

    @property
    def actor(self) -> str:
        """Who calls, for the audit trail: the key's id and name."""
        return f"{self.key.id} ({self.key.name})" if self.key else LOCAL_USER

    def note(self, target: str, **facts: str | int | float | bool | None) -> None:
        """Say for the audit trail what this call is about."""
        self.target = target
        self.facts.update(facts)


ApiRequest = Request[Call, Any, Any]
"""A request whose `user` is its `Call`."""

_Connection = ASGIConnection[Any, Call, Any, Any]


def guard(services: Services) -> Callable[[_Connection, BaseRouteHandler], Awaitable[None]]:
    """The check for every route, by its `access` option. The key is left in the `Call`."""

    async def check(connection: _Connection, handler: BaseRouteHandler) -> None:
        allowed: Access = handler.opt.get("access", "admin")
        if allowed == "open":
            return
        presented = access.presented_keys(connection.scope["headers"])
        if not presented and _may_go_without(allowed, connection, services.config.auth.require_keys):
            return
        key = services.keyring.authenticate(*presented)
        connection.user.key = key
        if allowed == "admin" and key.scope != "admin":
            raise Forbidden(f"The key {key.name} has {key.scope} scope; this needs an admin key.")
        if allowed == "node" and key.scope != "node":
            raise Forbidden(f"The key {key.name} has {key.scope} scope; this is for nodes alone.")

    return check


def calling_node(request: ApiRequest) -> str:
    """The node that calls, which speaks for itself alone. Raises Unauthenticated when none does."""
    key = request.user.key
    if key is None or not key.subject:
        raise Unauthenticated("This call is for nodes, with the key they got when they joined.")
    return key.subject


def _may_go_without(allowed: Access, connection: _Connection, keys_required: bool) -> bool:
    """Without a key: metrics on loopback; with keys switched off, all but the nodes' calls, on loopback."""
    if allowed == "local":
        return is_local(connection)
    return not keys_required and allowed in ("admin", "any") and is_local(connection)


def is_local(connection: _Connection) -> bool:
    """See `access.is_local`."""
    client, headers = connection.client, connection.headers
    return access.is_local(client.host if client else "", headers.get("host", ""), headers.get("origin"))
