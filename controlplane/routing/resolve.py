"""From the name a client asked for to a model of ours. Pure."""

import difflib
from dataclasses import dataclass

from controlplane.routing.table import Route, RoutingTable
from flockpy.placement import Capability

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Unknown:
    """No model has that name. `near`: what was perhaps meant, best first."""

    name: str
    near: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request needs of its model; tokens are an estimate."""

    capability: Capability
    prompt_tokens: int = 0
    vision: bool = False


def resolve(
    name: str, wanted: Wanted, table: RoutingTable, allowed: frozenset[str] | None
) -> Route | Unknown:
    """The route of `name`; ``auto`` or "" is the default model, or a better fit among the `allowed` ones."""
    if name and name != AUTO:
        route = table.routes.get(name)
        if route is None:
            return Unknown(name, _near(name, table, allowed))
        return route
    fitting = [
        route
        for route in table.routes.values()
        if wanted.capability in route.capabilities and (allowed is None or route.model_id in allowed)
    ]
    if not fitting:
        return Unknown(name or AUTO, (), f"no installed model offers {wanted.capability}")

    def rank(route: Route) -> tuple[bool, bool, bool, bool, str]:
        return (
            wanted.vision and "vision" not in route.capabilities,
            0 < route.context_window < wanted.prompt_tokens,
            route.model_id != table.default_model,
            not route.replicas,
            route.model_id,
        )

    return min(fitting, key=rank)


def _near(name: str, table: RoutingTable, allowed: frozenset[str] | None) -> tuple[str, ...]:
    names = {m.lower(): m for m in table.routes if allowed is None or m in allowed}
    close = difflib.get_close_matches(name[:200].lower(), names, n=3, cutoff=0.5)
    return tuple(names[m] for m in close) or tuple(sorted(names.values())[:5])
