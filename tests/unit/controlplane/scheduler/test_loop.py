import asyncio

from controlplane.cluster.events import ModelInstalled, NodeRegistered, NodeReported
from controlplane.cluster.store import Cluster
from controlplane.cluster.views import model_condition
from controlplane.scheduler.loop import Scheduler
from flockpy.config import Config, Jit
from tests.unit.controlplane.builders import (
    LoopClock,
    MemoryRepo,
    counting_entropy,
    info,
    model,
    placed,
    report,
)


async def test_demand_loads_a_model_and_idleness_unloads_it():
    repo = MemoryRepo()
    clock = LoopClock()
    cluster = await Cluster.open(repo, clock, counting_entropy())
    cluster.apply(NodeRegistered("n_1", "leader", 1.0, info()))
    cluster.apply(NodeReported("n_1", report(0), clock.monotonic()))
    cluster.apply(ModelInstalled(model()))
    scheduler = Scheduler(cluster, Config(jit=Jit(cooldown_seconds=0.2)), lambda: {"m": 5.0})
    running = asyncio.create_task(scheduler.run())
    async with asyncio.timeout(10):
        cluster.raise_demand("m")
        while not cluster.state.desired:
            await cluster.changed(cluster.state.version, within=5)
        (placement_id,) = cluster.state.desired
        assert cluster.state.desired[placement_id].why == "demand"
        cluster.apply(NodeReported("n_1", report(1, [placed(placement_id)]), clock.monotonic()))
        while cluster.state.demand:
            await cluster.changed(cluster.state.version, within=5)
        assert model_condition(cluster.state, "m") == "serving"
        assert placement_id in repo.kept.desired
        while cluster.state.desired:
            await cluster.changed(cluster.state.version, within=5)
    running.cancel()
    await asyncio.wait([running])
