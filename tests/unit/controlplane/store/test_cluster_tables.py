"""The cluster's lasting part survives a restart exactly."""

from controlplane.cluster.durable import Durable, NodeRecord, difference
from controlplane.cluster.join import Meta
from controlplane.cluster.state import Desired, InstalledModel
from controlplane.cluster.store import ClusterRepo
from controlplane.store.cluster import ClusterTables
from controlplane.store.db import Database
from controlplane.store.meta import MetaTable
from flockpy.placement import EngineOptions, ModelSpec, PlacementSpec

MODEL = InstalledModel(
    id="qwen/3-8b",
    name="Qwen 3 8B",
    source="file:./x.gguf",
    path="/models/x.gguf",
    size_bytes=5_000_000_000,
    context_window=40_960,
    capabilities=("chat", "tools"),
    engine="",
    node_id="n_1",
    details={"architecture": "qwen3", "layers": 36, "moe": False},
    created_at=1.25,
    replicas=2,
    force=True,
)
NODE = NodeRecord("n_1", "leader", 12.5, True, "böx")
SPEC = PlacementSpec(
    "p_1",
    ModelSpec("qwen/3-8b", "/models/x.gguf", 5_000_000_000, 40_960, ("chat", "tools")),
    "llamacpp",
    EngineOptions(slots=4),
)
WANTED = Desired("n_1", SPEC, "demand")


NOTHING = Durable({}, {}, {})
EVERYTHING = Durable(
    {MODEL.id: MODEL}, {NODE.id: NODE}, {SPEC.id: WANTED}, {"gpt-*": "", "fast": "qwen/3-8b"}
)


async def test_what_is_saved_is_what_is_loaded(database: Database):
    tables: ClusterRepo = ClusterTables(database)
    assert await tables.load() == NOTHING
    await tables.save(difference(NOTHING, EVERYTHING))
    await tables.save(difference(NOTHING, EVERYTHING))
    assert await tables.load() == EVERYTHING


async def test_changed_things_are_replaced_and_dropped_ones_are_gone(database: Database):
    tables = ClusterTables(database)
    await tables.save(difference(NOTHING, EVERYTHING))
    later = Durable(
        models={},
        nodes={"n_1": NodeRecord("n_1", "leader", 12.5, False, "box")},
        desired=EVERYTHING.desired,
        aliases={"fast": "auto"},
    )
    await tables.save(difference(EVERYTHING, later))
    assert await tables.load() == later
    await tables.save(difference(later, NOTHING))
    assert await tables.load() == NOTHING


async def test_single_values_are_kept_and_replaced(database: Database):
    meta: Meta = MetaTable(database)
    assert await meta.get("secret") is None
    await meta.set("secret", "a")
    await meta.set("secret", "b")
    assert await meta.get("secret") == "b"
