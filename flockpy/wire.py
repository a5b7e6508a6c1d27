"""The messages between an agent and its leader. JSON over HTTP under ``/admin/v1/nodes``. Pure.

An agent reports everything that is (`Report`), whole, on change and every `REPORT_INTERVAL_S`; the leader
answers with everything that should be (`DesiredState`), whole. A lost message therefore cannot matter.
"""

import msgspec

from flockpy.node import NodeInfo
from flockpy.placement import Capability, PlacementSpec, Status

PROTOCOL = 1
"""Version of these messages; leader and agent refuse each other outside the range both know."""

REPORT_INTERVAL_S = 5.0


class Register(msgspec.Struct, frozen=True):
    """POST register, authorised by a single-use join token in `token`."""

    token: str
    protocol: int
    info: NodeInfo
    node_id: str = ""
    """The id this agent had before, so that a re-registration keeps its identity."""
    node_key: str = ""
    """The key that came with that id, good any more or not: the proof that the id was this agent's."""

    def __repr__(self) -> str:
        return f"Register({self.node_id!r})"


class Registered(msgspec.Struct, frozen=True):
    """The node's identity; `key` is its node-scope API key, shown this once."""

    node_id: str
    key: str

    def __repr__(self) -> str:
        return f"Registered({self.node_id!r})"


class PlacementReport(msgspec.Struct, frozen=True):
    """One placement as it is. `adopted`: an engine that ran already and that this agent will never stop.

    `engine_model`: the engine's own name for the model, as its requests must say it; "" when that is `model_id`.
    """

    id: str
    model_id: str
    engine: str
    status: Status
    capabilities: tuple[Capability, ...] = ("chat", "completion")
    adopted: bool = False
    pid: int | None = None
    memory_bytes: int = 0
    engine_model: str = ""


class Report(msgspec.Struct, frozen=True):
    """POST heartbeat. `seq` grows with each report of one `boot_id`; older ones are dropped by the leader."""

    boot_id: str
    seq: int
    protocol: int
    info: NodeInfo
    placements: tuple[PlacementReport, ...] = ()


class DesiredState(msgspec.Struct, frozen=True):
    """Everything this node should run. `epoch` changes at each leader start, `generation` at each change."""

    epoch: str
    generation: int
    placements: tuple[PlacementSpec, ...] = ()
