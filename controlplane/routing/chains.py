"""Chains: which models stand behind one that cannot answer. Pure.

A chain is written with the names an admin knows: models' ids, those of vendors, or aliases of their own. It belongs to
the model that its first name stands for, however a client asks for that. Names that are only shipped do not count: a
vendor that is not open is not replaced by whatever is there.
"""

from collections.abc import Mapping
from dataclasses import replace

from controlplane.routing.names import meaning
from controlplane.routing.resolve import find
from controlplane.routing.table import Route, RoutingTable
from flockpy.aliases import AUTO

Chains = Mapping[str, tuple[str, ...]]
"""By name, the names of those that stand behind it, in order."""


def by_model(chains: Chains, table: RoutingTable) -> Chains:
    """The same by the ids of the models that they belong to; a chain of a model's own name goes before one of an
    alias of it."""
    found: dict[str, tuple[str, ...]] = {}
    for name, further in chains.items():
        route = named(name, table)
        if route is not None and (route.model_id == name or route.model_id not in found):
            found[route.model_id] = further
    return found


def behind(route: Route, further: tuple[str, ...], table: RoutingTable) -> tuple[Route, ...]:
    """The models that the names of `further` stand for, each once, without `route` itself and what is not there."""
    found = {route.model_id: route}
    for name in further:
        if (one := named(name, table)) is not None:
            found.setdefault(one.model_id, one)
    return tuple(found.values())[1:]


def troubles(name: str, further: tuple[str, ...], table: RoutingTable) -> tuple[str, ...]:
    """What does nothing in the chain of `name` as things are."""
    found: list[str] = []
    meant: dict[str, str] = {}
    for one in (name, *further):
        route = named(one, table)
        if route is None:
            found.append(f"{one} is not installed, and no vendor that may be asked has it")
        elif route.model_id in meant:
            found.append(f"{one} is the same model as {meant[route.model_id]}")
        else:
            meant[route.model_id] = one
    return tuple(found)


def named(name: str, table: RoutingTable) -> Route | None:
    """The model that a name in a chain stands for; None when there is none."""
    if name in table.routes:
        return table.routes[name]
    names = replace(table.names, shipped=())
    meant = meaning(name, table.routes, names, table.is_vendors)
    if meant == AUTO:
        meant = table.default_model
    return None if meant is None else find(meant, table)
