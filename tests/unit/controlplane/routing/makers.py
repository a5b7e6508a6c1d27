"""Short ways to say what routing is about."""

from collections.abc import Mapping

from controlplane.routing.names import Names
from controlplane.routing.table import NoVendors, Replica, Route, RoutingTable, VendorRoutes
from flockpy.placement import Capability, Endpoint

CHAT: tuple[Capability, ...] = ("chat", "completion")


def replica(placement_id: str, model_id: str = "m", slots: int = 1, *, local: bool = False) -> Replica:
    return Replica(
        placement_id=placement_id,
        model_id=model_id,
        node_id=f"n_{placement_id}",
        node_name="box",
        engine="embedded",
        engine_model=model_id,
        adopted=False,
        local=local,
        endpoint=Endpoint("http://127.0.0.1:4000"),
        slots=slots,
        context_window=4096,
    )


def route(
    model_id: str = "m",
    *replicas: Replica,
    capabilities: tuple[Capability, ...] = CHAT,
    window: int = 4096,
) -> Route:
    return Route(model_id, capabilities, window, 1.0, replicas)


class VendorsByPrefix:
    """Vendors' models, by what their names begin with."""

    def __init__(self, **vendors: str) -> None:
        self._vendors = vendors

    def route(self, name: str) -> Route | None:
        vendor = next((vendor for vendor, begin in self._vendors.items() if name.startswith(begin)), None)
        return Route(name, CHAT, 200_000, 0.0, vendor=vendor) if vendor else None

    def listed(self) -> tuple[Route, ...]:
        return ()


def table(
    *routes: Route,
    default: str | None = None,
    names: Names | None = None,
    vendors: VendorRoutes | None = None,
) -> RoutingTable:
    return RoutingTable(1, {r.model_id: r for r in routes}, default, names or Names(), vendors or NoVendors())


def table_of(slots: Mapping[str, Mapping[str, int]]) -> RoutingTable:
    """``{"m": {"p_1": 2}}``: model m on placement p_1 with two slots."""
    return table(
        *(
            route(model, *(replica(placement, model, count) for placement, count in placements.items()))
            for model, placements in slots.items()
        )
    )
