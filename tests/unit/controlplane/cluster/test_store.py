import asyncio

import pytest

from controlplane.cluster.events import (
    ModelInstalled,
    NodeDrained,
    NodeRegistered,
    NodeRemoved,
    NodeReported,
    PlacementDropped,
    PlacementWanted,
)
from controlplane.cluster.state import ClusterState
from controlplane.cluster.store import Cluster
from flockpy.errors import NotFound
from tests.unit.controlplane.builders import (
    LoopClock,
    MemoryRepo,
    counting_entropy,
    desired,
    info,
    model,
    placed,
    report,
)

REGISTERED = NodeRegistered("n_1", "leader", 1.0, info())


async def a_cluster(repo: MemoryRepo | None = None) -> Cluster:
    return await Cluster.open(repo or MemoryRepo(), LoopClock(), counting_entropy())


async def test_what_was_committed_is_there_after_a_restart_and_nothing_observed_is():
    repo = MemoryRepo()
    cluster = await a_cluster(repo)
    await cluster.commit(
        REGISTERED, ModelInstalled(model()), PlacementWanted(desired()), NodeDrained("n_1", 1.0)
    )
    cluster.apply(NodeReported("n_1", report(3, [placed()]), 2.0))
    again = await a_cluster(repo)
    assert again.state.models == cluster.state.models
    assert again.state.desired["p_1"].spec == desired().spec
    node = again.state.nodes["n_1"]
    assert (node.draining, node.hostname, node.placements, node.last_seen) == (True, "box", (), None)


async def test_only_what_has_changed_is_written():
    repo = MemoryRepo()
    cluster = await a_cluster(repo)
    await cluster.commit(REGISTERED)
    cluster.apply(NodeReported("n_1", report(0), 1.0))
    await cluster.flush()
    assert len(repo.saves) == 1
    await cluster.commit(NodeRemoved("n_1"))
    assert repo.saves[-1].dropped_nodes == ("n_1",)


async def test_a_write_that_failed_is_made_up_for_by_the_next():
    repo = MemoryRepo()
    cluster = await a_cluster(repo)
    repo.broken = True
    with pytest.raises(OSError, match="disk full"):
        await cluster.commit(REGISTERED)
    repo.broken = False
    await cluster.flush()
    assert "n_1" in repo.kept.nodes


async def test_subscribers_see_each_new_picture_before_apply_returns():
    cluster = await a_cluster()
    seen: list[ClusterState] = []
    end = cluster.subscribe(seen.append)
    cluster.apply(REGISTERED)
    cluster.apply(REGISTERED)
    assert seen == [cluster.state]
    end()
    cluster.apply(NodeRemoved("n_1"))
    assert len(seen) == 1


async def test_changed_answers_at_once_when_the_reader_is_behind_and_waits_otherwise():
    cluster = await a_cluster()
    cluster.apply(REGISTERED)
    assert (await cluster.changed(0, within=0)).version == 1
    waiting = asyncio.create_task(cluster.changed(1, within=30))
    await asyncio.sleep(0)
    assert not waiting.done()
    cluster.apply(NodeRemoved("n_1"))
    assert (await waiting).version == 2
    assert (await cluster.changed(2, within=0.001)).version == 2


async def test_a_node_waits_for_its_own_orders_alone():
    cluster = await a_cluster()
    cluster.apply(REGISTERED)
    cluster.apply(NodeRegistered("n_2", "worker", 1.0, info("other")))
    known = cluster.desired_for("n_1")
    waiting = asyncio.create_task(cluster.wait_desired("n_1", known.epoch, known.generation, within=30))
    await asyncio.sleep(0)
    cluster.apply(PlacementWanted(desired("p_2", node_id="n_2")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    cluster.apply(PlacementWanted(desired("p_1")))
    assert [spec.id for spec in (await waiting).placements] == ["p_1"]


async def test_a_node_of_an_earlier_epoch_gets_its_orders_at_once():
    cluster = await a_cluster()
    cluster.apply(REGISTERED)
    desired_state = await cluster.wait_desired("n_1", "another", 0, within=30)
    assert desired_state.epoch == cluster.state.epoch


async def test_a_wait_for_orders_ends_after_its_time_with_the_orders_as_they_are():
    cluster = await a_cluster()
    cluster.apply(REGISTERED)
    cluster.apply(PlacementWanted(desired()))
    known = cluster.desired_for("n_1")
    assert await cluster.wait_desired("n_1", known.epoch, known.generation, within=0.001) == known


async def test_a_removed_node_that_waits_is_told_that_it_is_gone():
    cluster = await a_cluster()
    cluster.apply(REGISTERED)
    known = cluster.desired_for("n_1")
    waiting = asyncio.create_task(cluster.wait_desired("n_1", known.epoch, known.generation, within=30))
    await asyncio.sleep(0)
    cluster.apply(NodeRemoved("n_1"))
    with pytest.raises(NotFound):
        await waiting


async def test_dropping_wakes_the_node_that_runs_it():
    cluster = await a_cluster()
    cluster.apply(REGISTERED)
    cluster.apply(PlacementWanted(desired()))
    known = cluster.desired_for("n_1")
    waiting = asyncio.create_task(cluster.wait_desired("n_1", known.epoch, known.generation, within=30))
    await asyncio.sleep(0)
    cluster.apply(PlacementDropped("p_1"))
    assert (await waiting).placements == ()
