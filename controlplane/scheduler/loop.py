"""The scheduler at work: plans on each change of the cluster and every second, and does what the plan says."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from controlplane.cluster.events import (
    DemandMet,
    Event,
    HealthChecked,
    ModelRefused,
    PlacementDropped,
    PlacementWanted,
)
from controlplane.cluster.state import ClusterState, Desired, InstalledModel
from controlplane.cluster.store import Cluster
from controlplane.scheduler import fit
from controlplane.scheduler.plan import Action, Drop, Idle, Meet, Place, Refuse, Revive, plan
from flockpy.config import Config
from flockpy.errors import Overloaded
from flockpy.ids import new_id
from flockpy.placement import PlacementSpec

log = logging.getLogger(__name__)

EVERY_S = 1.0
PAUSE_S = 0.02
"""Between two plans: a burst of reports is planned for once."""


class Scheduler:
    """`idle` answers, for each model asked for so far, seconds since its last request ended, None while one runs.

    Whoever waits for a model to load does not count as running: that is the picture's `demand`.
    """

    def __init__(self, cluster: Cluster, config: Config, idle: Callable[[], Idle]) -> None:
        self._cluster = cluster
        self._config = config
        self._idle = idle

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            version = self.step().version
            try:
                await self._cluster.flush()
            except Overloaded as trouble:  # nothing is lost: the next flush writes it all
                log.warning("placements are not on disk yet: %s", trouble.message)
            await asyncio.sleep(PAUSE_S)
            await self._cluster.changed(version, within=EVERY_S)

    def step(self) -> ClusterState:
        """Look at every node's health, plan once, and do it in memory."""
        now = self._cluster.clock.monotonic()
        state = self._cluster.apply(HealthChecked(now))
        for action in plan(state, self._idle(), self._config, now):
            log.info("%s", _said(action))
            self._cluster.apply(self._event(action, now))
        return self._cluster.state

    def _event(self, action: Action, now: float) -> Event:
        state = self._cluster.state
        match action:
            case Place():
                spec = self._spec(state.models[action.model_id])
                return PlacementWanted(Desired(action.node_id, spec, action.why, since=now))
            case Revive():
                known = state.desired[action.placement_id]
                return PlacementWanted(replace(known, why=action.why, since=now, retiring_since=None))
            case Drop():
                return PlacementDropped(action.placement_id)
            case Refuse():
                return ModelRefused(action.model_id, action.reason, action.at)
            case Meet():
                return DemandMet(action.model_id)
            case _:
                assert_never(action)

    def _spec(self, model: InstalledModel) -> PlacementSpec:
        return PlacementSpec(
            id=new_id("p", self._cluster.entropy),
            model=fit.model_spec(model),
            engine=model.engine,
            options=fit.options(self._config.engine.defaults),
        )


def _said(action: Action) -> str:
    match action:
        case Place():
            return f"placing {action.model_id} on {action.node_id}: {action.reason}"
        case Revive():
            return f"keeping {action.placement_id}: {action.reason}"
        case Drop():
            return f"dropping {action.placement_id}: {action.reason}"
        case Refuse():
            return f"refusing {action.model_id}: {action.reason}"
        case Meet():
            return f"done waiting for {action.model_id}: {action.reason}"
        case _:
            assert_never(action)
