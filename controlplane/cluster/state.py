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
    replicas: int = 0
    """How many placements an admin asked to be kept loaded; 0 loads it on demand only."""
    force: bool = False
    """An admin waived the memory check."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """A node as last reported. Times are on the leader's monotonic clock; `last_seen` None: not heard yet.

    `generation` is the cluster's generation when what this node should run last changed; `past_boots` are
    the boots of this node that a later one has replaced, whose reports are dropped.
    """

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
    hostname: str = ""
    address: str = ""
    generation: int = 0
    past_boots: tuple[str, ...] = ()
    draining_since: float | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """One placement that should be, and where. Times are on the leader's monotonic clock.

    `since` is when it was wanted; `retiring_since` when it stopped taking new requests so as to be dropped
    once those in flight have ended, else None.
    """

    node_id: str
    spec: PlacementSpec
    why: Why = "asked"
    since: float = 0.0
    retiring_since: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a model could not be placed or loaded, and when that was found (leader's monotonic clock)."""

    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class ClusterState:
    """`version` grows with every change that a reader can act on (not with `last_seen` and `seq` alone);
    `generation` only when what should be changes.
    """

    epoch: str
    version: int = 0
    generation: int = 0
    models: Mapping[str, InstalledModel] = field(default_factory=dict[str, InstalledModel])
    nodes: Mapping[str, NodeState] = field(default_factory=dict[str, NodeState])
    desired: Mapping[str, Desired] = field(default_factory=dict[str, Desired])
    """By placement id."""
    demand: frozenset[str] = frozenset()
    """Models that requests are waiting for."""
    refused: Mapping[str, Refusal] = field(default_factory=dict[str, Refusal])
    """Models that could not be placed or loaded when last tried."""
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Second names of models that an admin has set, as `flockpy.aliases` tells of them."""
