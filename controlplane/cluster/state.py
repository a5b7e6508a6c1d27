"""The picture of the cluster: what should run, what nodes report. Immutable; `apply` makes the next. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from flockpy.node import NodeInfo
from flockpy.placement import Capability, PlacementSpec
from flockpy.wire import PlacementReport

Role = Literal["leader", "worker"]
Health = Literal["alive", "suspect", "lost"]
Why = Literal["asked", "demand"]
"""Why a placement is desired: an admin asked for it (stays), or a request did (unloaded when idle)."""


class InstalledModel(msgspec.Struct, frozen=True):
    """A model the cluster may serve, loaded or not.

    `path` is absolute on `node_id`; `context_window` in tokens as trained; `engine` "" lets the agent choose;
    `details` is what the file says of itself (architecture, quantisation, parameters, template …).
    """

    id: str
    name: str
    source: str
    path: str
    size_bytes: int
    context_window: int
    capabilities: tuple[Capability, ...]
    engine: str
    node_id: str
    details: dict[str, str | int | bool]
    created_at: float


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as last reported. `last_seen` is on the leader's monotonic clock; None: not heard yet."""

    id: str
    role: Role
    created_at: float
    info: NodeInfo | None = None
    boot_id: str = ""
    seq: int = -1
    last_seen: float | None = None
    health: Health = "lost"
    draining: bool = False
    placements: tuple[PlacementReport, ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """One placement that should be, and where."""

    node_id: str
    spec: PlacementSpec
    why: Why = "asked"


@dataclass(frozen=True, slots=True)
class ClusterState:
    """`version` grows with every change; `generation` only when what should be changes."""

    epoch: str
    version: int = 0
    generation: int = 0
    models: Mapping[str, InstalledModel] = field(default_factory=dict[str, InstalledModel])
    nodes: Mapping[str, NodeState] = field(default_factory=dict[str, NodeState])
    desired: Mapping[str, Desired] = field(default_factory=dict[str, Desired])
    """By placement id."""
    demand: frozenset[str] = frozenset()
    """Models that requests are waiting for."""
