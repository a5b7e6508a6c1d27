"""Everything that can happen to the cluster's picture, as a closed union. Pure.

`now` is always the leader's monotonic clock in seconds.
"""

from dataclasses import dataclass

from controlplane.cluster.state import Desired, InstalledModel, Role
from flockpy.node import NodeInfo
from flockpy.wire import Report


@dataclass(frozen=True, slots=True)
class NodeRegistered:
    """A node has its identity, new or as before. `created_at` is seconds since the epoch."""

    node_id: str
    role: Role
    created_at: float
    info: NodeInfo


@dataclass(frozen=True, slots=True)
class NodeReported:
    """A node's full report, heard from `address`."""

    node_id: str
    report: Report
    now: float
    address: str = ""


@dataclass(frozen=True, slots=True)
class HealthChecked:
    """Time has passed: nodes not heard from become suspect, then lost."""

    now: float


@dataclass(frozen=True, slots=True)
class NodeDrained:
    """The node takes no new requests; its placements go once those in flight have ended."""

    node_id: str
    now: float


@dataclass(frozen=True, slots=True)
class NodeUndrained:
    node_id: str


@dataclass(frozen=True, slots=True)
class NodeRemoved:
    """The node is forgotten with everything that was desired of it."""

    node_id: str


@dataclass(frozen=True, slots=True)
class ModelInstalled:
    """A model may be served, or what is known of it has changed."""

    model: InstalledModel


@dataclass(frozen=True, slots=True)
class ModelScaled:
    """An admin asks for that many loaded placements; 0 retires those there are and leaves it to demand."""

    model_id: str
    replicas: int
    now: float


@dataclass(frozen=True, slots=True)
class ModelRemoved:
    """A model is forgotten; its placements retire."""

    model_id: str
    now: float


@dataclass(frozen=True, slots=True)
class ModelRefused:
    """The model could not be placed or loaded; requests that wait for it are told `reason`."""

    model_id: str
    reason: str
    now: float


@dataclass(frozen=True, slots=True)
class AliasSet:
    """Requests for `name` are for `model`: an id, ``auto``, or "" for no model at all."""

    name: str
    model: str


@dataclass(frozen=True, slots=True)
class AliasRemoved:
    """What the configuration or the program itself says of that name holds again."""

    name: str


@dataclass(frozen=True, slots=True)
class PlacementWanted:
    """A placement should be; one that was retiring under the same id is taken back."""

    desired: Desired


@dataclass(frozen=True, slots=True)
class PlacementRetired:
    """The placement takes no new requests and goes once those in flight have ended."""

    placement_id: str
    now: float


@dataclass(frozen=True, slots=True)
class PlacementDropped:
    """The placement should not be any more."""

    placement_id: str


@dataclass(frozen=True, slots=True)
class DemandRaised:
    """A request waits for this installed model."""

    model_id: str


@dataclass(frozen=True, slots=True)
class DemandMet:
    """Nothing waits for this model any more."""

    model_id: str


Event = (
    NodeRegistered
    | NodeReported
    | HealthChecked
    | NodeDrained
    | NodeUndrained
    | NodeRemoved
    | ModelInstalled
    | ModelScaled
    | ModelRemoved
    | ModelRefused
    | AliasSet
    | AliasRemoved
    | PlacementWanted
    | PlacementRetired
    | PlacementDropped
    | DemandRaised
    | DemandMet
)
