"""What can be served right now, as the data path sees it: rebuilt from the cluster's picture on each change. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.cluster.state import ClusterState, NodeState
from flockpy.placement import Capability, Endpoint, Failed, Ready


@dataclass(frozen=True, slots=True)
class Replica:
    """One ready placement."""

    placement_id: str
    model_id: str
    node_id: str
    node_name: str
    engine: str
    adopted: bool
    local: bool
    endpoint: Endpoint
    slots: int
    context_window: int


@dataclass(frozen=True, slots=True)
class Route:
    """A model that may be asked for. `context_window` is the widest of its replicas, else what it was trained for.

    `loading`: a placement is on its way to ready. `failure` is why nothing will come of it without a hand, else None.
    """

    model_id: str
    capabilities: tuple[Capability, ...]
    context_window: int
    created_at: float
    replicas: tuple[Replica, ...] = ()
    installed: bool = True
    loading: bool = False
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Everything the data path needs to know of the cluster; a request reads it once."""

    version: int
    routes: Mapping[str, Route]
    default_model: str | None


def build_table(state: ClusterState, default_model: str) -> RoutingTable:
    """The table of a picture. `default_model` "" picks: a served chat model before an idle one, a real one before
    the self-test model, then the oldest."""
    replicas: dict[str, list[Replica]] = {}
    failures: dict[str, str] = {}
    unlisted: dict[str, tuple[Capability, ...]] = {}
    for node in state.nodes.values():
        for placement in node.placements:
            match placement.status:
                case Ready(endpoint=endpoint, slots=slots, context_window=window) if _serves(node):
                    if placement.model_id not in state.models:
                        unlisted.setdefault(placement.model_id, placement.capabilities)
                    name = node.info.hostname if node.info else node.id
                    replica = Replica(
                        placement.id, placement.model_id, node.id, name, placement.engine,
                        placement.adopted, node.role == "leader", endpoint, slots, window,
                    )  # fmt: skip
                    replicas.setdefault(placement.model_id, []).append(replica)
                case Failed(reason=reason):
                    failures[placement.model_id] = reason
                case _:
                    pass
    routes: dict[str, Route] = {}
    for model in state.models.values():
        ready = tuple(replicas.get(model.id, ()))
        window = max((r.context_window for r in ready), default=model.context_window)
        failure = None if ready else failures.get(model.id)
        routes[model.id] = Route(
            model.id, model.capabilities, window, model.created_at, ready, failure=failure
        )
    for model_id, capabilities in unlisted.items():
        ready = tuple(replicas[model_id])
        window = max(r.context_window for r in ready)
        routes[model_id] = Route(model_id, capabilities, window, 0.0, ready, installed=False)
    return RoutingTable(state.version, routes, default_model or _pick_default(routes))


def _serves(node: NodeState) -> bool:
    return node.health != "lost" and not node.draining


def _pick_default(routes: Mapping[str, Route]) -> str | None:
    chat = [route for route in routes.values() if "chat" in route.capabilities]
    chat.sort(key=lambda r: (r.model_id == "flock-demo", not r.replicas, r.created_at, r.model_id))
    return chat[0].model_id if chat else None
