"""GET /v1/models in OpenAI's shape, or in Anthropic's for a client that sends ``anthropic-version``. Pure."""

import datetime
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from controlplane.routing.names import PICKED, from_picker
from controlplane.routing.table import Route, RoutingTable
from flockpy.aliases import AUTO

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


def render_list(
    table: RoutingTable,
    allowed: frozenset[str] | None,
    *,
    anthropic: bool,
    aliases: Mapping[str, str] = _NONE,
) -> bytes:
    """Every name a key may use: ``auto`` when it would lead somewhere, models whether loaded or not, `aliases` (to the
    model each stands for), and the names for Claude Code's picker."""
    routes = [r for r in table.routes.values() if allowed is None or r.model_id in allowed]
    routes.sort(key=lambda route: route.model_id)
    names = [(route.model_id, route) for route in routes]
    default = table.routes.get(table.default_model or "")
    if default is not None and default in routes:
        names.insert(0, (AUTO, default))
    seen = {route.model_id: route for route in routes}
    for alias, model_id in sorted(aliases.items()):
        if model_id in seen and alias not in table.routes:
            names.append((alias, seen[model_id]))
    names += [(PICKED + route.model_id, route) for route in routes if "chat" in route.capabilities]
    items = [_item(name, route, anthropic=anthropic) for name, route in names]
    if not anthropic:
        return msgspec.json.encode({"object": "list", "data": items})
    ends = {"first_id": names[0][0] if names else None, "last_id": names[-1][0] if names else None}
    return msgspec.json.encode({"data": items, "has_more": False, **ends})


def render_one(
    name: str,
    table: RoutingTable,
    allowed: frozenset[str] | None,
    *,
    anthropic: bool,
    aliases: Mapping[str, str] = _NONE,
) -> bytes | None:
    """One model, by any of its names; None when there is none of that name that the key may use."""
    model_id = (table.default_model or "") if name == AUTO else from_picker(name)
    route = table.routes.get(name) or table.routes.get(aliases.get(model_id, model_id))
    if route is None or (allowed is not None and route.model_id not in allowed):
        return None
    return msgspec.json.encode(_item(name, route, anthropic=anthropic))


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
        "owned_by": "flockpy",
        "context_window": route.context_window,
        "capabilities": route.capabilities,
        "loaded": bool(route.replicas),
        **({"alias_of": route.model_id} if name != route.model_id else {}),
    }
