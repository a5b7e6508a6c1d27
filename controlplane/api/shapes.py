"""What the admin surface says of nodes, models and placements: snake case, RFC 3339 UTC, bytes, ids."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

import msgspec

from controlplane.cluster import operations, views
from controlplane.cluster.state import ClusterState, InstalledModel, NodeState, Role
from flockpy.clock import Clock
from flockpy.node import EngineInfo, Hardware
from flockpy.placement import Capability, Failed, Fetching, Ready

T = TypeVar("T")

PlacementState = Literal["pending", "fetching", "starting", "ready", "draining", "stopped", "failed"]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list; `next_cursor` is None on the last."""

    items: list[T]
    next_cursor: str | None = None


class Placement(msgspec.Struct, frozen=True):
    """`progress` is 0 to 1 while weights are fetched; `slots` and `context_window` are known once it is
    ready.
    """

    id: str
    model_id: str
    node_id: str
    state: PlacementState
    engine: str
    adopted: bool
    reason: str | None = None
    slots: int | None = None
    context_window: int | None = None
    progress: float | None = None
    memory_bytes: int | None = None


class Node(msgspec.Struct, frozen=True):
    id: str
    hostname: str
    role: Role
    state: views.NodeCondition
    version: str
    address: str
    hardware: Hardware | None
    engines: list[EngineInfo]
    placements: list[Placement]
    last_seen: str | None
    created_at: str


class Model(msgspec.Struct, frozen=True):
    """`context_window`: what it was trained for; a placement says what it serves. `reason`: why it failed."""

    id: str
    name: str
    source: str
    size_bytes: int
    context_window: int
    capabilities: list[Capability]
    engine: str
    node_id: str
    state: views.ModelCondition
    placements: list[Placement]
    details: dict[str, str | int | bool]
    created_at: str
    reason: str | None = None


class Operation(msgspec.Struct, frozen=True):
    """What an admin has started. Bytes are of weights on their way, 0 where there are none to fetch."""

    id: str
    kind: operations.Kind
    target: str
    state: operations.State
    done_bytes: int
    total_bytes: int
    rate_bps: float
    eta_s: float | None
    error: str | None
    started_at: str
    ended_at: str | None


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch, as text in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def placement(seen: views.PlacementView) -> Placement:
    status, report = seen.status, seen.report
    ready = status if isinstance(status, Ready) else None
    fetching = status if isinstance(status, Fetching) else None
    return Placement(
        id=seen.id,
        model_id=seen.model_id,
        node_id=seen.node.id,
        state=_state_name(seen),
        engine=report.engine if report else seen.desired.spec.engine if seen.desired else "",
        adopted=report is not None and report.adopted,
        reason=status.reason if isinstance(status, Failed) else None,
        slots=ready.slots if ready else None,
        context_window=ready.context_window if ready else None,
        progress=fetching.done / fetching.total if fetching and fetching.total else None,
        memory_bytes=report.memory_bytes if report else None,
    )


def node(state: ClusterState, of: NodeState, clock: Clock) -> Node:
    return nodes(state, clock)(of)


def nodes(state: ClusterState, clock: Clock) -> Callable[[NodeState], Node]:
    """What shows nodes of this picture; cheaper for many than one by one."""
    placed: defaultdict[str, list[Placement]] = defaultdict(list)
    for seen in views.placements(state):
        placed[seen.node.id].append(placement(seen))

    def show(of: NodeState) -> Node:
        heard = None if of.last_seen is None else clock.wall() - (clock.monotonic() - of.last_seen)
        return Node(
            id=of.id,
            hostname=of.hostname,
            role=of.role,
            state=views.node_condition(state, of),
            version=of.info.version if of.info else "",
            address=of.address,
            hardware=of.info.hardware if of.info else None,
            engines=list(of.info.engines) if of.info else [],
            placements=placed[of.id],
            last_seen=None if heard is None else rfc3339(heard),
            created_at=rfc3339(of.created_at),
        )

    return show


def model(state: ClusterState, of: InstalledModel) -> Model:
    return Model(
        id=of.id,
        name=of.name,
        source=of.source,
        size_bytes=of.size_bytes,
        context_window=of.context_window,
        capabilities=list(of.capabilities),
        engine=of.engine,
        node_id=of.node_id,
        state=views.model_condition(state, of.id),
        placements=[placement(p) for p in views.placements(state) if p.model_id == of.id],
        details=dict(of.details),
        created_at=rfc3339(of.created_at),
        reason=views.why_not(state, of.id),
    )


def operation(of: operations.Operation) -> Operation:
    return Operation(
        id=of.id,
        kind=of.kind,
        target=of.target,
        state=of.state,
        done_bytes=of.done_bytes,
        total_bytes=of.total_bytes,
        rate_bps=of.rate_bps,
        eta_s=of.eta_s,
        error=of.error,
        started_at=rfc3339(of.started_at),
        ended_at=None if of.ended_at is None else rfc3339(of.ended_at),
    )


def _state_name(seen: views.PlacementView) -> PlacementState:
    if seen.desired is not None and seen.desired.retiring_since is not None:
        return "draining"
    return msgspec.convert(msgspec.to_builtins(seen.status)["state"], PlacementState)
