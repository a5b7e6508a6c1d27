"""What of the cluster's picture outlives the leader: what should be, and who the nodes are. Pure.

What nodes report is never kept: it is rebuilt from their next reports.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from controlplane.cluster.state import ClusterState, Desired, InstalledModel, NodeState, Role

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node's lasting part. `created_at` is seconds since the epoch."""

    id: str
    role: Role
    created_at: float
    draining: bool
    hostname: str


@dataclass(frozen=True, slots=True)
class Durable:
    """Everything kept, by id. Monotonic times of a desired placement mean nothing after a restart."""

    models: Mapping[str, InstalledModel]
    nodes: Mapping[str, NodeRecord]
    desired: Mapping[str, Desired]
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Changes:
    """What to write (insert or replace) and which ids to delete, all in one transaction."""

    models: tuple[InstalledModel, ...]
    nodes: tuple[NodeRecord, ...]
    desired: tuple[Desired, ...]
    dropped_models: tuple[str, ...]
    dropped_nodes: tuple[str, ...]
    dropped_desired: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...]
    dropped_aliases: tuple[str, ...]

    def __bool__(self) -> bool:
        return any((self.models, self.nodes, self.desired, self.aliases)) or any(
            (self.dropped_models, self.dropped_nodes, self.dropped_desired, self.dropped_aliases)
        )


def durable(state: ClusterState) -> Durable:
    """The part of the picture that is kept."""
    return Durable(
        models=state.models,
        nodes={
            n.id: NodeRecord(n.id, n.role, n.created_at, n.draining, n.hostname) for n in state.nodes.values()
        },
        desired={id: replace(d, since=0.0, retiring_since=None) for id, d in state.desired.items()},
        aliases=state.aliases,
    )


def difference(before: Durable, after: Durable) -> Changes:
    """What makes a store that holds `before` hold `after`."""
    models, dropped_models = _changed(before.models, after.models)
    nodes, dropped_nodes = _changed(before.nodes, after.nodes)
    desired, dropped_desired = _changed(before.desired, after.desired)
    named, dropped_aliases = _changed(_pairs(before.aliases), _pairs(after.aliases))
    return Changes(
        models, nodes, desired, dropped_models, dropped_nodes, dropped_desired, named, dropped_aliases
    )


def restore(kept: Durable, epoch: str, now: float) -> ClusterState:
    """The picture at the leader's start. A desired placement of a node that is gone is left out."""
    nodes = {
        record.id: NodeState(
            id=record.id,
            role=record.role,
            created_at=record.created_at,
            draining=record.draining,
            hostname=record.hostname,
            draining_since=now if record.draining else None,
        )
        for record in kept.nodes.values()
    }
    desired = {
        id: replace(wanted, since=now, retiring_since=None)
        for id, wanted in kept.desired.items()
        if wanted.node_id in nodes
    }
    return ClusterState(
        epoch=epoch, models=dict(kept.models), nodes=nodes, desired=desired, aliases=dict(kept.aliases)
    )


def _pairs(aliases: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {name: (name, model) for name, model in aliases.items()}


def _changed(before: Mapping[str, T], after: Mapping[str, T]) -> tuple[tuple[T, ...], tuple[str, ...]]:
    written = tuple(value for id, value in after.items() if before.get(id) != value)
    return written, tuple(id for id in before if id not in after)
