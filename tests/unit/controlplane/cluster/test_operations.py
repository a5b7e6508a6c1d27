import pytest

from controlplane.cluster.events import (
    DemandRaised,
    Event,
    ModelInstalled,
    ModelRefused,
    ModelRemoved,
    ModelScaled,
    NodeRegistered,
    NodeReported,
    PlacementWanted,
)
from controlplane.cluster.operations import KEPT, Operations
from controlplane.cluster.store import Cluster
from flockpy.placement import Failed, Fetching
from tests.unit.controlplane.builders import (
    FakeClock,
    MemoryRepo,
    counting_entropy,
    desired,
    info,
    model,
    placed,
    report,
)


async def a_cluster(*events: Event) -> tuple[Cluster, Operations, FakeClock]:
    clock = FakeClock()
    cluster = await Cluster.open(MemoryRepo(), clock, counting_entropy())
    for event in (NodeRegistered("n_1", "leader", 1.0, info()), ModelInstalled(model()), *events):
        cluster.apply(event)
    return cluster, Operations(cluster), clock


async def test_a_load_shows_its_bytes_and_is_done_when_the_model_serves():
    cluster, operations, clock = await a_cluster(ModelScaled("m", 1, 0.0), PlacementWanted(desired()))
    load = operations.start("load", "m")
    clock.now += 10
    cluster.apply(NodeReported("n_1", report(0, [placed(status=Fetching(100, 400))]), clock.now))
    halfway = operations.get(load.id)
    assert halfway is not None
    assert (halfway.done_bytes, halfway.total_bytes, halfway.rate_bps, halfway.eta_s) == (
        100,
        400,
        10.0,
        30.0,
    )
    cluster.apply(NodeReported("n_1", report(1, [placed()]), clock.now))
    ended = operations.get(load.id)
    assert ended is not None
    assert (ended.state, ended.done_bytes, ended.eta_s) == ("done", 400, None)


@pytest.mark.parametrize(
    ("event", "state", "error"),
    [
        (ModelRefused("m", "too large", 0.0), "failed", "too large"),
        (ModelRemoved("m", 0.0), "cancelled", "the model was removed"),
        (ModelScaled("m", 0, 0.0), "cancelled", "the model was unloaded"),
    ],
)
async def test_a_load_ends_as_its_model_does(event: Event, state: str, error: str):
    cluster, operations, _ = await a_cluster(ModelScaled("m", 1, 0.0))
    load = operations.start("load", "m")
    assert load.state == "running"
    cluster.apply(event)
    ended = operations.get(load.id)
    assert ended is not None
    assert (ended.state, ended.error) == (state, error)


async def test_a_load_that_fails_twice_is_told_though_it_is_tried_again():
    cluster, operations, _ = await a_cluster(ModelScaled("m", 1, 0.0), PlacementWanted(desired()))
    load = operations.start("load", "m")
    cluster.apply(NodeReported("n_1", report(0, [placed(status=Failed("port taken", 1, 1.0))]), 0.0))
    assert operations.get(load.id) == load
    cluster.apply(NodeReported("n_1", report(1, [placed(status=Failed("bad file", 2, 2.0))]), 0.0))
    ended = operations.get(load.id)
    assert ended is not None
    assert (ended.state, ended.error) == ("failed", "bad file (it is tried again)")


async def test_unloading_what_is_not_loaded_is_done_at_once():
    _, operations, _ = await a_cluster()
    assert operations.start("unload", "m").state == "done"


async def test_asking_again_for_what_is_on_its_way_starts_nothing_new():
    cluster, operations, _ = await a_cluster(ModelScaled("m", 1, 0.0))
    first = operations.start("load", "m")
    assert operations.start("load", "m") == first
    cluster.apply(ModelScaled("m", 0, 0.0))
    cluster.apply(ModelScaled("m", 1, 0.0))
    assert operations.start("load", "m") != first
    assert len(operations.list()) == 2


async def test_operations_are_forgotten_only_when_they_have_ended_and_many_came_since():
    _, operations, _ = await a_cluster(DemandRaised("m"))
    running = operations.start("load", "m")
    for _ in range(KEPT + 10):
        operations.done("add", "m")
    assert operations.get(running.id) is not None
    assert len(operations.list()) == KEPT + 1
