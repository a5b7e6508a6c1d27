"""Small makers of the things tests of the leader speak about."""

import asyncio
import itertools
from collections.abc import Sequence

from controlplane.cluster.durable import Changes, Durable
from controlplane.cluster.state import Desired, InstalledModel
from flockpy.node import EngineInfo, Hardware, NodeInfo
from flockpy.placement import Endpoint, ModelSpec, PlacementSpec, Ready, Status
from flockpy.wire import PROTOCOL, PlacementReport, Report

READY = Ready(Endpoint("http://127.0.0.1:4000", "secret"), slots=2, context_window=4096)


class FakeClock:
    """Both clocks at will; starts at 1000 s."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return 1_800_000_000.0 + self.now

    def monotonic(self) -> float:
        return self.now


class LoopClock:
    """The event loop's time, for tests that really wait."""

    def wall(self) -> float:
        return 1_800_000_000.0 + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def counting_entropy():
    """Bytes that differ with each call and are the same in each run."""
    counter = itertools.count(1)
    return lambda n: next(counter).to_bytes(n, "big")


class MemoryRepo:
    """Keeps what the cluster asks to be kept; `broken` makes every write fail."""

    def __init__(self, kept: Durable | None = None) -> None:
        self.kept = kept or Durable({}, {}, {})
        self.saves: list[Changes] = []
        self.broken = False

    async def load(self) -> Durable:
        return self.kept

    async def save(self, changes: Changes) -> None:
        if self.broken:
            raise OSError("disk full")
        await asyncio.sleep(0)
        self.saves.append(changes)
        k = self.kept
        models = {**k.models, **{m.id: m for m in changes.models}}
        nodes = {**k.nodes, **{n.id: n for n in changes.nodes}}
        desired = {**k.desired, **{d.spec.id: d for d in changes.desired}}
        self.kept = Durable(
            {i: m for i, m in models.items() if i not in changes.dropped_models},
            {i: n for i, n in nodes.items() if i not in changes.dropped_nodes},
            {i: d for i, d in desired.items() if i not in changes.dropped_desired},
        )


class MemoryMeta:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, key: str) -> str | None:
        return self.values.get(key)

    async def set(self, key: str, value: str) -> None:
        self.values[key] = value


def info(hostname: str = "box", memory: int = 16 * 2**30) -> NodeInfo:
    hardware = Hardware("linux", "x86_64", "cpu", 4, memory)
    return NodeInfo(hostname, "0.1.0", hardware, (EngineInfo("embedded", True, "1"),))


def model(id: str = "m", node_id: str = "n_1", **changes: object) -> InstalledModel:
    fields: dict[str, object] = {
        "id": id,
        "name": id,
        "source": f"file:/models/{id}.gguf",
        "path": f"/models/{id}.gguf",
        "size_bytes": 1000,
        "context_window": 4096,
        "capabilities": ("chat", "completion"),
        "engine": "",
        "node_id": node_id,
        "details": {},
        "created_at": 1.0,
        **changes,
    }
    return InstalledModel(**fields)  # pyright: ignore[reportArgumentType]


def spec(placement_id: str = "p_1", model_id: str = "m") -> PlacementSpec:
    return PlacementSpec(placement_id, ModelSpec(model_id, f"/models/{model_id}.gguf", 1000, 4096))


def desired(
    placement_id: str = "p_1", model_id: str = "m", node_id: str = "n_1", **changes: object
) -> Desired:
    return Desired(node_id, spec(placement_id, model_id), **changes)  # pyright: ignore[reportArgumentType]


def placed(placement_id: str = "p_1", model_id: str = "m", status: Status = READY, adopted: bool = False):
    return PlacementReport(placement_id, model_id, "embedded", status, adopted=adopted)


def report(
    seq: int = 0, placements: Sequence[PlacementReport] = (), boot_id: str = "boot", hostname: str = "box"
) -> Report:
    return Report(boot_id, seq, PROTOCOL, info(hostname), tuple(placements))
