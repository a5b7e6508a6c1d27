"""Questions that readers ask of the cluster's picture. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from controlplane.cluster.state import ClusterState, Desired, InstalledModel, NodeState
from flockpy.placement import (
    Draining,
    Failed,
    Fetching,
    Pending,
    PlacementSpec,
    Ready,
    Starting,
    Status,
    Stopped,
)
from flockpy.wire import PlacementReport

NodeCondition = Literal["ready", "suspect", "lost", "draining", "drained"]
ModelCondition = Literal["installed", "loading", "serving", "failed"]


@dataclass(frozen=True, slots=True)
class PlacementView:
    """One placement, desired, reported, or both; `desired` is None for an engine that a node has adopted."""

    id: str
    model_id: str
    node: NodeState
    status: Status
    desired: Desired | None
    report: PlacementReport | None


def placements(state: ClusterState) -> Iterator[PlacementView]:
    """Every placement that is desired, then every adopted one. One not reported yet is `Pending`."""
    for desired in state.desired.values():
        node = state.nodes[desired.node_id]
        report = next((p for p in node.placements if p.id == desired.spec.id), None)
        status = report.status if report else Pending()
        yield PlacementView(desired.spec.id, desired.spec.model.id, node, status, desired, report)
    for node in state.nodes.values():
        for report in node.placements:
            if report.adopted and report.id not in state.desired:
                yield PlacementView(report.id, report.model_id, node, report.status, None, report)


def is_routable(placement: PlacementView) -> bool:
    """May take new requests: ready, on a node that is heard and does not drain, and not on its way out."""
    return (
        isinstance(placement.status, Ready)
        and placement.node.health != "lost"
        and not placement.node.draining
        and (placement.desired is None or placement.desired.retiring_since is None)
    )


def models(state: ClusterState) -> dict[str, InstalledModel]:
    """Installed models, and those that only an adopted engine serves."""
    known = dict(state.models)
    for placement in placements(state):
        if placement.report and placement.report.adopted and placement.model_id not in known:
            known[placement.model_id] = _adopted(placement, placement.report)
    return known


def _adopted(placement: PlacementView, report: PlacementReport) -> InstalledModel:
    window = placement.status.context_window if isinstance(placement.status, Ready) else 0
    return InstalledModel(
        id=placement.model_id,
        name=placement.model_id,
        source=f"adopted:{report.engine}",
        path="",
        size_bytes=0,
        context_window=window,
        capabilities=report.capabilities,
        engine=report.engine,
        node_id=placement.node.id,
        details={},
        created_at=placement.node.created_at,
    )


def by_model(state: ClusterState) -> dict[str, list[PlacementView]]:
    """`placements` by what they serve, for questions about every model at once."""
    found: dict[str, list[PlacementView]] = {}
    for placement in placements(state):
        found.setdefault(placement.model_id, []).append(placement)
    return found


def model_condition(
    state: ClusterState, model_id: str, of_model: Sequence[PlacementView] | None = None
) -> ModelCondition:
    """Serving when one placement is routable, loading when one is on its way, failed when tried in vain.

    `of_model`: the model's placements where they are known already.
    """
    if of_model is None:
        of_model = _of_model(state, model_id)
    if any(is_routable(p) for p in of_model):
        return "serving"
    if any(_is_loading(p) for p in of_model):
        return "loading"
    if why_not(state, model_id, of_model) is not None:
        return "failed"
    return "installed"


def why_not(
    state: ClusterState, model_id: str, of_model: Sequence[PlacementView] | None = None
) -> str | None:
    """Why a model that was tried cannot be served; None when it serves, may yet, or was not tried."""
    if of_model is None:
        of_model = _of_model(state, model_id)
    if any(is_routable(p) or _is_loading(p) for p in of_model):
        return None
    if refusal := state.refused.get(model_id):
        return refusal.reason
    return next((p.status.reason for p in of_model if isinstance(p.status, Failed)), None)


def _of_model(state: ClusterState, model_id: str) -> list[PlacementView]:
    return [placement for placement in placements(state) if placement.model_id == model_id]


def _is_loading(placement: PlacementView) -> bool:
    retiring = placement.desired is not None and placement.desired.retiring_since is not None
    if retiring or placement.node.health == "lost":
        return False
    match placement.status:
        case Pending() | Fetching() | Starting():
            return True
        case Failed(retry_in_s=retry_in_s):
            return retry_in_s is not None
        case Ready() | Draining() | Stopped():
            return False


def node_condition(state: ClusterState, node: NodeState) -> NodeCondition:
    """A draining node is drained once nothing that the leader placed there is left."""
    if node.draining:
        left = any(desired.node_id == node.id for desired in state.desired.values())
        running = any(not isinstance(p.status, Stopped) for p in node.placements if not p.adopted)
        return "draining" if left or running else "drained"
    return "ready" if node.health == "alive" else node.health


def desired_of(state: ClusterState, node_id: str) -> tuple[PlacementSpec, ...]:
    """What this node should run."""
    return tuple(d.spec for d in state.desired.values() if d.node_id == node_id)


def leader_node(state: ClusterState) -> NodeState | None:
    """The leader's own machine, once its agent has registered."""
    return next((node for node in state.nodes.values() if node.role == "leader"), None)
