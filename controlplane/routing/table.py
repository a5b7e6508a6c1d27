"""What can be served right now, as the data path sees it: rebuilt from the cluster's picture on each change. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from controlplane.cluster.state import ClusterState
from controlplane.cluster.views import PlacementView, by_model, is_routable, model_condition, models, why_not
from controlplane.routing.names import Names, in_force, names_of
from flockpy.aliases import AUTO
from flockpy.placement import Capability, Endpoint, Ready
from flockpy.vendors import Price


@dataclass(frozen=True, slots=True)
class Replica:
    """One ready placement. `engine_model`: what its engine calls the model."""

    placement_id: str
    model_id: str
    node_id: str
    node_name: str
    engine: str
    engine_model: str
    adopted: bool
    local: bool
    endpoint: Endpoint
    slots: int
    context_window: int


@dataclass(frozen=True, slots=True)
class Route:
    """A model that may be asked for. `context_window` is the widest of its replicas, else what it was trained for.

    `loading`: a placement is on its way to ready. `failure` is why nothing will come of it without a hand, else None.
    `adopted`: only an engine that is not ours serves it.
    `vendor` has it, "" for the cluster's own; such a model's `price` is known if its catalog says it, and `label` is
    what stands for it in metrics, where names that clients make up must not be. `chain`: who is asked in its place,
    as its catalog says.
    """

    model_id: str
    capabilities: tuple[Capability, ...]
    context_window: int
    created_at: float
    replicas: tuple[Replica, ...] = ()
    loading: bool = False
    failure: str | None = None
    adopted: bool = False
    vendor: str = ""
    label: str = ""
    price: Price | None = None
    chain: tuple[str, ...] = ()


class VendorRoutes(Protocol):
    """The models of vendors that may be asked."""

    def route(self, name: str, /) -> Route | None:
        """The route of a vendor's id; None when no vendor has it, or none may be asked for it."""
        ...

    def listed(self) -> Sequence[Route]:
        """Those that are known by name, to be shown to clients."""
        ...


class NoVendors:
    """No vendor may be asked."""

    def route(self, name: str, /) -> Route | None:
        return None

    def listed(self) -> Sequence[Route]:
        return ()


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Everything the data path needs to know of the cluster; a request reads it once."""

    version: int
    routes: Mapping[str, Route]
    default_model: str | None
    names: Names = field(default_factory=Names)
    vendors: VendorRoutes = field(default_factory=NoVendors)

    def is_vendors(self, name: str) -> bool:
        """Whether a vendor that may be asked has a model of this id."""
        return self.vendors.route(name) is not None

    @property
    def aliases(self) -> Mapping[str, str]:
        """Where each exact alias leads when nothing is known of the request: to a model's id, installed or not."""
        targets = {alias: self.default_model if to == AUTO else to for alias, to in self.names.exact.items()}
        return {alias: to for alias, to in targets.items() if to}


def build_table(
    state: ClusterState,
    default_model: str,
    aliases: Mapping[str, str] = MappingProxyType({}),
    vendors: VendorRoutes | None = None,
) -> RoutingTable:
    """The table of a picture. `default_model` "" picks: a real model before the self-test one, a served one before
    an idle one, then the oldest. `aliases`: those of the configuration."""
    placed = by_model(state)
    routes: dict[str, Route] = {}
    installed = models(state)
    for model in installed.values():
        of_model = placed.get(model.id, ())
        ready = tuple(replica for placement in of_model if (replica := _replica(placement)) is not None)
        condition = model_condition(state, model.id, of_model)
        routes[model.id] = Route(
            model_id=model.id,
            capabilities=model.capabilities,
            context_window=max((r.context_window for r in ready), default=model.context_window),
            created_at=model.created_at,
            replicas=ready,
            loading=condition == "loading",
            failure=why_not(state, model.id, of_model) if condition == "failed" else None,
            adopted=model.id not in state.models,
        )
    names = names_of(in_force(aliases, state.aliases), installed.values())
    return RoutingTable(
        state.version, routes, default_model or _pick_default(routes), names, vendors or NoVendors()
    )


def _replica(placement: PlacementView) -> Replica | None:
    if not is_routable(placement) or not isinstance(placement.status, Ready) or placement.report is None:
        return None
    return Replica(
        placement_id=placement.id,
        model_id=placement.model_id,
        node_id=placement.node.id,
        node_name=placement.node.hostname or placement.node.id,
        engine=placement.report.engine,
        engine_model=placement.report.engine_model or placement.model_id,
        adopted=placement.report.adopted,
        local=placement.node.role == "leader",
        endpoint=placement.status.endpoint,
        slots=placement.status.slots,
        context_window=placement.status.context_window,
    )


def _pick_default(routes: Mapping[str, Route]) -> str | None:
    chat = [route for route in routes.values() if "chat" in route.capabilities]
    chat.sort(key=lambda r: (r.model_id == "flock-demo", not r.replicas, r.created_at, r.model_id))
    return chat[0].model_id if chat else None
