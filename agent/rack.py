"""All engines of this machine, and the loop that makes them what the leader wants."""

import asyncio
import logging
from collections.abc import Callable

from agent.http import Http
from agent.instance import Instance
from agent.launch import Launched, Launcher, owner
from agent.plan import Present, Start, Stop, plan
from agent.process import end
from flockpy.clock import Clock
from flockpy.placement import PlacementSpec
from flockpy.wire import DesiredState, PlacementReport

STRAY_GRACE_S = 5.0

log = logging.getLogger(__name__)


class Rack:
    """Instances by placement id. Used inside of `run`; `changed` is called when a report would differ."""

    def __init__(self, launcher: Launcher, http: Http, clock: Clock, changed: Callable[[], None]) -> None:
        self._launcher = launcher
        self._http = http
        self._clock = clock
        self._changed = changed
        self._desired: DesiredState | None = None
        self._instances: dict[str, Instance] = {}
        self._tasks: asyncio.TaskGroup
        self._running = False
        self._stop = asyncio.Event()

    def reports(self) -> tuple[PlacementReport, ...]:
        return tuple(instance.report() for instance in self._instances.values())

    def apply(self, desired: DesiredState) -> None:
        """Make it so, from now on."""
        self._desired = desired
        self._reconcile()

    def stop(self) -> None:
        """End all engines; `run` returns when they are gone."""
        self._stop.set()

    async def run(self) -> None:
        """Find the engines of an earlier agent again, then own all of them. Cancelling this leaves them running."""
        async with asyncio.TaskGroup() as self._tasks:
            self._recover()
            self._running = True
            self._reconcile()
            await self._stop.wait()
            for instance in self._instances.values():
                instance.halt()

    def _recover(self) -> None:
        """Adopt what has both a record and a living process; end the other processes, drop the other records."""
        launcher = self._launcher
        processes = launcher.processes.marked(owner(launcher.data))
        by_launch = {ref.launch: ref for ref in reversed(processes)}
        for record in launcher.records.load():
            ref = by_launch.get(record.launch)
            found = launcher.adopt(record, ref) if ref else None
            if found is None:
                launcher.records.remove(record.spec.id)
                continue
            log.info("%s runs still, as process %d", record.spec.model.id, found.ref.pid)
            processes.remove(found.ref)
            self._own(record.spec, found)
        adopted = {instance.launch for instance in self._instances.values()}
        for stray in processes:
            if stray.launch not in adopted:  # else a helper of an engine that goes on
                log.warning("process %d is an engine that nobody knows any more; it is ended", stray.pid)
                self._tasks.create_task(end(launcher.processes, stray, STRAY_GRACE_S))

    def _reconcile(self) -> None:
        if not self._running or self._stop.is_set():
            return
        present = {key: Present(it.spec, it.leaving) for key, it in self._instances.items()}
        for action in plan(self._desired, present):
            match action:
                case Start(spec):
                    self._own(spec)
                case Stop(placement_id, reason):
                    instance = self._instances[placement_id]
                    log.info("%s is unloaded: %s", instance.spec.model.id, reason)
                    instance.halt()

    def _own(self, spec: PlacementSpec, found: Launched | None = None) -> None:
        instance = Instance(spec, self._launcher, self._http, self._clock, self._changed, found)
        self._instances[spec.id] = instance
        self._tasks.create_task(self._see_through(instance))
        self._changed()

    async def _see_through(self, instance: Instance) -> None:
        await instance.run()
        del self._instances[instance.spec.id]
        self._changed()
        self._reconcile()
