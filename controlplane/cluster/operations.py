"""What an admin has started and can follow: loads and unloads, read off the cluster's picture. In memory only."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from controlplane.cluster import views
from controlplane.cluster.state import ClusterState
from controlplane.cluster.store import Cluster
from flockpy.ids import new_id
from flockpy.placement import Failed, Fetching, Stopped

Kind = Literal["add", "load", "unload"]
State = Literal["pending", "running", "done", "failed", "cancelled"]

KEPT = 200
"""Ended operations remembered, the latest ones."""
FORGIVEN = 1
"""Failed attempts to load before an operation says that it failed, though the node goes on trying."""


class Operation(msgspec.Struct, frozen=True):
    """Times are seconds since the epoch. Bytes are of weights on their way, 0 where there are none to fetch."""

    id: str
    kind: Kind
    target: str
    state: State
    started_at: float
    done_bytes: int = 0
    total_bytes: int = 0
    rate_bps: float = 0.0
    eta_s: float | None = None
    error: str | None = None
    ended_at: float | None = None


class Operations:
    """Keeps each operation in step with the cluster until it has ended."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._all: dict[str, Operation] = {}
        self._running: dict[str, Operation] = {}
        cluster.subscribe(self._follow)

    def start(self, kind: Kind, model_id: str) -> Operation:
        """Follow what was just asked of a model. Asked after its events, not before: it looks at once.

        What is on its way already is answered again, however often it is asked for.
        """
        for running in self._running.values():
            if (running.kind, running.target) == (kind, model_id):
                return running
        now = self._cluster.clock.wall()
        fresh = Operation(new_id("op", self._cluster.entropy), kind, model_id, "running", now)
        self._note(advance(fresh, self._cluster.state, now))
        self._forget()
        return self._all[fresh.id]

    def done(self, kind: Kind, model_id: str) -> Operation:
        """Note something that ended as soon as it began."""
        now = self._cluster.clock.wall()
        operation = Operation(new_id("op", self._cluster.entropy), kind, model_id, "done", now, ended_at=now)
        self._note(operation)
        self._forget()
        return operation

    def list(self) -> Sequence[Operation]:
        """The latest first."""
        return tuple(reversed(self._all.values()))

    def get(self, operation_id: str) -> Operation | None:
        return self._all.get(operation_id)

    def _follow(self, state: ClusterState) -> None:
        now = self._cluster.clock.wall()
        for operation in tuple(self._running.values()):
            self._note(advance(operation, state, now))

    def _note(self, operation: Operation) -> None:
        self._all[operation.id] = operation
        if operation.state == "running":
            self._running[operation.id] = operation
        else:
            self._running.pop(operation.id, None)

    def _forget(self) -> None:
        ended = [id for id in self._all if id not in self._running]
        for id in ended[: max(len(ended) - KEPT, 0)]:
            del self._all[id]


def advance(operation: Operation, state: ClusterState, now: float) -> Operation:
    """A running operation as the picture shows it; `now` in seconds since the epoch."""
    if operation.kind == "unload":
        return operation if _is_there(state, operation.target) else _ended(operation, "done", now)
    if operation.target not in state.models:
        return _ended(operation, "cancelled", now, "the model was removed")
    match views.model_condition(state, operation.target):
        case "serving":
            return _ended(operation, "done", now)
        case "failed":
            return _ended(operation, "failed", now, views.why_not(state, operation.target))
        case "installed" if not _is_wanted(state, operation.target):
            return _ended(operation, "cancelled", now, "the model was unloaded")
        case "installed" | "loading":
            failure = _failing(state, operation.target)
            return _ended(operation, "failed", now, failure) if failure else _progress(operation, state, now)


def _failing(state: ClusterState, model_id: str) -> str | None:
    """Why loading does not get anywhere. One failure is forgiven, since the second try often works out."""
    for placement in views.placements(state):
        match placement.status:
            case Failed(reason, attempts) if placement.model_id == model_id and attempts > FORGIVEN:
                return f"{reason} (it is tried again)"
            case _:
                pass
    return None


def _progress(operation: Operation, state: ClusterState, now: float) -> Operation:
    fetching = [
        p.status
        for p in views.placements(state)
        if p.model_id == operation.target and isinstance(p.status, Fetching)
    ]
    if not fetching:
        return operation
    done, total = sum(f.done for f in fetching), sum(f.total for f in fetching)
    rate = done / max(now - operation.started_at, 0.001)
    return msgspec.structs.replace(
        operation,
        done_bytes=done,
        total_bytes=total,
        rate_bps=rate,
        eta_s=(total - done) / rate if rate else None,
    )


def _ended(operation: Operation, how: State, now: float, error: str | None = None) -> Operation:
    done = operation.total_bytes if how == "done" else operation.done_bytes
    return msgspec.structs.replace(
        operation, state=how, error=error, ended_at=now, done_bytes=done, eta_s=None
    )


def _is_wanted(state: ClusterState, model_id: str) -> bool:
    placed = any(d.spec.model.id == model_id and d.retiring_since is None for d in state.desired.values())
    return placed or model_id in state.demand or state.models[model_id].replicas > 0


def _is_there(state: ClusterState, model_id: str) -> bool:
    """Desired somewhere, or still reported by a node that is heard."""
    if any(d.spec.model.id == model_id for d in state.desired.values()):
        return True
    return any(
        p.model_id == model_id and not p.adopted and not isinstance(p.status, Stopped)
        for node in state.nodes.values()
        if node.health != "lost"
        for p in node.placements
    )
