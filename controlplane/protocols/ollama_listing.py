"""What Ollama's clients ask of models: /api/tags, /api/ps, /api/show, /api/version. Pure.

What an engine's own file does not tell is 0 or "". A digest tells models apart, it is not that of a file.
"""

import datetime
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from controlplane.cluster.state import InstalledModel
from controlplane.protocols.listing import named, of_vendors
from controlplane.protocols.ollama import rfc3339
from controlplane.routing.names import LATEST
from controlplane.routing.table import Route, RoutingTable
from flockpy.placement import Capability

VERSION: Final = "0.14.0"
"""The Ollama whose API this is: some clients refuse older ones."""
_NEVER: Final = "9999-12-31T23:59:59Z"
_CAPABILITIES: Final[dict[Capability, str]] = {
    "chat": "completion",
    "tools": "tools",
    "vision": "vision",
    "embedding": "embedding",
}

Installed = Mapping[str, InstalledModel]
"""What is known of models beside their routes, by id; a route without one is only less described."""


def render_version() -> bytes:
    return msgspec.json.encode({"version": VERSION})


def render_tags(table: RoutingTable, installed: Installed, allowed: frozenset[str] | None) -> bytes:
    """GET /api/tags: every model a key may use, loaded or not, and those of vendors."""
    routes = [*_routes(table, allowed), *of_vendors(table, allowed)]
    models = [_model(route, installed.get(route.model_id)) for route in routes]
    return msgspec.json.encode({"models": models})


def render_ps(table: RoutingTable, installed: Installed, allowed: frozenset[str] | None) -> bytes:
    """GET /api/ps: the models that are loaded. When they are unloaded is the cluster's affair: never, as it looks."""
    loaded = [route for route in _routes(table, allowed) if route.replicas]
    models: list[dict[str, Any]] = []
    for route in loaded:
        model = _model(route, installed.get(route.model_id))
        del model["modified_at"]
        models.append({**model, "expires_at": _NEVER, "size_vram": 0, "context_length": route.context_window})
    return msgspec.json.encode({"models": models})


def render_show(
    name: str, table: RoutingTable, installed: Installed, allowed: frozenset[str] | None
) -> bytes | None:
    """POST /api/show, by any of a model's names; None when there is none of that name that the key may use."""
    route = named(name, table, allowed)
    if route is None:
        return None
    model = installed.get(route.model_id)
    details = model.details if model else {}
    family = str(details.get("architecture") or "unknown")
    return msgspec.json.encode(
        {
            "modelfile": f"FROM {route.model_id}",
            "parameters": f"num_ctx {route.context_window}",
            "template": "",
            "license": "",
            "details": _details(model),
            "model_info": {
                "general.architecture": family,
                "general.parameter_count": details.get("parameters", 0),
                f"{family}.context_length": route.context_window,
                f"{family}.embedding_length": details.get("embedding_length", 0),
            },
            "capabilities": [_CAPABILITIES[c] for c in route.capabilities if c in _CAPABILITIES],
            "modified_at": _time(route.created_at),
        }
    )


def _routes(table: RoutingTable, allowed: frozenset[str] | None) -> Iterable[Route]:
    return (
        route for model_id, route in sorted(table.routes.items()) if allowed is None or model_id in allowed
    )


def _model(route: Route, model: InstalledModel | None) -> dict[str, Any]:
    name = route.model_id if ":" in route.model_id else route.model_id + LATEST
    return {
        "name": name,
        "model": name,
        "modified_at": _time(route.created_at),
        "size": model.size_bytes if model else 0,
        "digest": hashlib.sha256(route.model_id.encode()).hexdigest(),
        "details": _details(model),
    }


def _details(model: InstalledModel | None) -> dict[str, Any]:
    known = model.details if model else {}
    family = str(known.get("architecture", ""))
    return {
        "parent_model": "",
        "format": known.get("format", ""),
        "family": family,
        "families": [family] if family else [],
        "parameter_size": _short(known.get("parameters", 0)),
        "quantization_level": known.get("quantization", ""),
    }


def _short(parameters: str | int) -> str:
    """As Ollama writes it: 7.6B, 494M; "" for none."""
    if not isinstance(parameters, int) or parameters <= 0:
        return ""
    for unit, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if parameters >= size:
            return f"{round(parameters / size, 1 if unit == 'B' else 2):g}{unit}"
    return str(parameters)


def _time(seconds: float) -> str:
    return rfc3339(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
