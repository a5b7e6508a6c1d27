"""From the name a client asked for to a model of ours. Pure."""

import difflib
from dataclasses import dataclass

from controlplane.routing.names import meaning
from controlplane.routing.table import Route, RoutingTable
from flockpy.aliases import AUTO
from flockpy.placement import Capability

SHOWN = 5
"""How many of the installed models a refusal names."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """No model has that name. `near`: what was perhaps meant, best first. `why`: when there is more to say."""

    name: str
    near: tuple[str, ...]
    why: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request needs of its model; tokens are an estimate."""

    capability: Capability
    prompt_tokens: int = 0
    vision: bool = False


def is_auto(name: str, table: RoutingTable) -> bool:
    """Whether `name` leaves the choice to us, by itself or as an alias: only then `resolve` looks at what is wanted."""
    return _meaning(name, table) == AUTO


def resolve(
    name: str, wanted: Wanted, table: RoutingTable, allowed: frozenset[str] | None
) -> Route | Unknown:
    """The route of `name`: a model's id or another name of it; ``auto`` or "" is the default model, or a better fit
    among the `allowed` ones. A name is taken at its word: the model it stands for may be one that is not allowed."""
    meant = name if name in table.routes else _meaning(name, table)
    if meant is None:
        return Unknown(
            name, near_names(name, table, allowed), "" if table.routes else "no model is installed"
        )
    if meant != AUTO:
        route = find(meant, table)
        if route is None:
            why = f"{name[:200]!r} stands for {meant}, which is not installed{_installed(table, allowed)}"
            return Unknown(name, near_names(name, table, allowed), why)
        return route
    fitting = [
        route
        for route in table.routes.values()
        if wanted.capability in route.capabilities and (allowed is None or route.model_id in allowed)
    ]
    if not fitting:
        why = f"no installed model offers {wanted.capability}{_installed(table, allowed)}"
        return Unknown(name or AUTO, (), why)

    def rank(route: Route) -> tuple[bool, bool, bool, bool, str]:
        return (
            wanted.vision and "vision" not in route.capabilities,
            0 < route.context_window < wanted.prompt_tokens,
            route.model_id != table.default_model,
            not route.replicas,
            route.model_id,
        )

    return min(fitting, key=rank)


def find(model_id: str, table: RoutingTable) -> Route | None:
    """The route of a model by its id, the cluster's or a vendor's."""
    return table.routes.get(model_id) or table.vendors.route(model_id)


def _meaning(name: str, table: RoutingTable) -> str | None:
    return meaning(name, table.routes, table.names, table.is_vendors)


def near_names(name: str, table: RoutingTable, allowed: frozenset[str] | None) -> tuple[str, ...]:
    """Names of models that a key may use and that `name` was perhaps meant to be, best first."""
    names = {model_id.lower(): model_id for model_id in _usable(table, allowed)}
    others = {alias.lower(): alias for alias, model_id in table.aliases.items() if model_id in names.values()}
    close = difflib.get_close_matches(name[:200].lower(), others | names, n=3, cutoff=0.5)
    return tuple((others | names)[near] for near in close) or tuple(sorted(names.values())[:5])


def _installed(table: RoutingTable, allowed: frozenset[str] | None) -> str:
    """What there is, to put behind a refusal."""
    usable = sorted(_usable(table, allowed))
    shown = ", ".join(usable[:SHOWN]) + (" and others" if len(usable) > SHOWN else "")
    if not usable:
        return "; this key may use none of those that are" if table.routes else "; none is"
    return f"; installed: {shown}"


def _usable(table: RoutingTable, allowed: frozenset[str] | None) -> list[str]:
    return [model_id for model_id in table.routes if allowed is None or model_id in allowed]
