"""GET /v1/models in OpenAI's shape, or in Anthropic's for a client that sends ``anthropic-version``. Pure."""

import datetime
from typing import Any, Final

import msgspec

from controlplane.routing.names import PICKED, from_picker
from controlplane.routing.resolve import Wanted, resolve
from controlplane.routing.table import Route, RoutingTable
from flockpy.aliases import AUTO, MAX_CHARS

_ANY: Final = Wanted("chat")
"""What ``auto`` is asked for when nobody has said what for."""


def named(name: str, table: RoutingTable, allowed: frozenset[str] | None) -> Route | None:
    """The model that a key gets when it asks for `name`, by any of the names that inference takes; None for none."""
    if not name or (len(name) > MAX_CHARS and name not in table.routes):
        return None
    route = resolve(name, _ANY, table, allowed)
    if not isinstance(route, Route) or (allowed is not None and route.model_id not in allowed):
        return None
    return route


def of_vendors(table: RoutingTable, allowed: frozenset[str] | None) -> list[Route]:
    """What the catalog knows of vendors, as far as a key gets it by its own name."""
    return [route for route in table.vendors.listed() if named(route.model_id, table, allowed) is route]


def render_list(table: RoutingTable, allowed: frozenset[str] | None, *, anthropic: bool) -> bytes:
    """Every name a key may use: ``auto`` when it would lead somewhere, models whether loaded or not, aliases that are
    no globs, the names for Claude Code's picker, and what the catalog knows of vendors that may be asked."""
    routes = [r for r in table.routes.values() if allowed is None or r.model_id in allowed]
    routes.sort(key=lambda route: route.model_id)
    names = [(route.model_id, route) for route in routes]
    if default := named(AUTO, table, allowed):
        names.insert(0, (AUTO, default))
    for alias in sorted(table.names.exact):
        if alias not in table.routes and (route := named(alias, table, allowed)):
            names.append((alias, route))
    names += [(PICKED + route.model_id, route) for route in routes if "chat" in route.capabilities]
    names += [(route.model_id, route) for route in of_vendors(table, allowed)]
    items = [_item(name, route, anthropic=anthropic) for name, route in names]
    if not anthropic:
        return msgspec.json.encode({"object": "list", "data": items})
    ends = {"first_id": names[0][0] if names else None, "last_id": names[-1][0] if names else None}
    return msgspec.json.encode({"data": items, "has_more": False, **ends})


def render_one(
    name: str, table: RoutingTable, allowed: frozenset[str] | None, *, anthropic: bool
) -> bytes | None:
    """One model, by any of its names and under that name; None when there is none of it that the key may use."""
    route = named(name, table, allowed)
    return route and msgspec.json.encode(_item(name, route, anthropic=anthropic))


def _item(name: str, route: Route, *, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        created = datetime.datetime.fromtimestamp(route.created_at, datetime.UTC)
        return {
            "type": "model",
            "id": name,
            "display_name": from_picker(name),
            "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "lifecycle": "active",
            "max_input_tokens": route.context_window,
        }
    return {
        "id": name,
        "object": "model",
        "created": int(route.created_at),
        "owned_by": route.vendor or "flockpy",
        "context_window": route.context_window,
        "capabilities": route.capabilities,
        "loaded": bool(route.replicas or route.vendor),
        **({"alias_of": route.model_id} if name != route.model_id else {}),
    }
