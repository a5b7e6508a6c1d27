"""Who may call what. Every route is for admins unless it says otherwise; the check runs before a body is
read.
"""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from controlplane.api.services import Services
from controlplane.tenants.model import Key
from flockpy.errors import Forbidden, Unauthenticated

Access = Literal["open", "local", "any", "node", "admin"]
"""``open`` to all; ``local``: open on loopback, else any key; ``any`` key; a node's key; an admin's key."""


@dataclass(slots=True)
class Call:
    """What is known of one call beside its request: who makes it, and what the audit trail
    should say of it.
    """

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
        return f"{self.key.id} ({self.key.name})" if self.key else "local"

    def note(self, target: str, **facts: str | int | float | bool | None) -> None:
        """Say for the audit trail what this call is about."""
        self.target = target
        self.facts.update(facts)


ApiRequest = Request[Call, Any, Any]
"""A request whose `user` is its `Call`."""

_Connection = ASGIConnection[Any, Call, Any, Any]
_LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}


def guard(services: Services) -> Callable[[_Connection, BaseRouteHandler], Awaitable[None]]:
    """The check for every route, by its `access` option. The key is left in the `Call`."""

    async def check(connection: _Connection, handler: BaseRouteHandler) -> None:
        access: Access = handler.opt.get("access", "admin")
        if access == "open":
            return
        presented = presented_key(connection)
        if not presented and _may_go_without(access, connection, services.config.auth.require_keys):
            return
        key = services.keyring.authenticate(presented)
        connection.user.key = key
        if access == "admin" and key.scope != "admin":
            raise Forbidden(f"The key {key.name} has {key.scope} scope; this needs an admin key.")
        if access == "node" and key.scope != "node":
            raise Forbidden(f"The key {key.name} has {key.scope} scope; this is for nodes alone.")

    return check


def presented_key(connection: _Connection) -> str:
    """The key a request carries, in either header, or ""."""
    scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    return connection.headers.get("x-api-key", "").strip()


def calling_node(request: ApiRequest) -> str:
    """The id of the node that calls: a node speaks for itself alone. Raises Unauthenticated when no node
    does.
    """
    key = request.user.key
    if key is None or not key.subject:
        raise Unauthenticated("This call is for nodes, with the key they got when they joined.")
    return key.subject


def _may_go_without(access: Access, connection: _Connection, keys_required: bool) -> bool:
    """Without a key: metrics on loopback; with keys switched off, all but the nodes' calls, on loopback."""
    if access == "local":
        return is_local(connection)
    return not keys_required and access in ("admin", "any") and is_local(connection)


def is_local(connection: _Connection) -> bool:
    """From this machine, addressed to it by name, and not on behalf of a foreign web page.

    A page in a browser reaches loopback too; it cannot hide its origin, nor, when its own name is made to
    resolve to loopback, send another host header than that name.
    """
    host = connection.headers.get("host", "")
    if connection.client is None or not _is_loopback(connection.client.host) or not _is_local_name(host):
        return False
    origin = connection.headers.get("origin")
    return origin is None or origin.partition("://")[2] == host


def _is_local_name(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOCAL_NAMES
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
