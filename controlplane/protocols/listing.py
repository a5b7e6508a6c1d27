"""GET /v1/models in OpenAI's shape, or in Anthropic's for a client that sends ``anthropic-version``. Pure."""

import datetime
from typing import Any

import msgspec

from controlplane.routing.resolve import AUTO
from controlplane.routing.table import Route, RoutingTable


def render_list(table: RoutingTable, allowed: frozenset[str] | None, *, anthropic: bool) -> bytes:
    """Every model a key may use, loaded or not, and ``auto`` when it would lead somewhere."""
    routes = [r for r in table.routes.values() if allowed is None or r.model_id in allowed]
    routes.sort(key=lambda route: route.model_id)
    items = [_item(route.model_id, route, anthropic=anthropic) for route in routes]
    default = table.routes.get(table.default_model or "")
    if default is not None and default in routes:
        items.insert(0, _item(AUTO, default, anthropic=anthropic))
    if not anthropic:
        return msgspec.json.encode({"object": "list", "data": items})
    ids = [item["id"] for item in items]
    ends = {"first_id": ids[0] if ids else None, "last_id": ids[-1] if ids else None}
    return msgspec.json.encode({"data": items, "has_more": False, **ends})


def render_one(
    model_id: str, table: RoutingTable, allowed: frozenset[str] | None, *, anthropic: bool
) -> bytes | None:
    """One model; None when there is none of that id that the key may use."""
    route = table.routes.get((table.default_model or "") if model_id == AUTO else model_id)
    if route is None or (allowed is not None and route.model_id not in allowed):
        return None
    return msgspec.json.encode(_item(model_id, route, anthropic=anthropic))


def _item(model_id: str, route: Route, *, anthropic: bool) -> dict[str, Any]:
    if anthropic:
        created = datetime.datetime.fromtimestamp(route.created_at, datetime.UTC)
        return {
            "type": "model",
            "id": model_id,
            "display_name": model_id,
            "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    return {
        "id": model_id,
        "object": "model",
        "created": int(route.created_at),
        "owned_by": "flockpy",
        "context_window": route.context_window,
        "capabilities": route.capabilities,
        "loaded": bool(route.replicas),
    }
