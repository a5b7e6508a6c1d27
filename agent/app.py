"""The agent, put together: the machine is looked at, engines are owned, the leader is talked to, signals are heard."""

import asyncio
import logging
import secrets
import signal
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent.adopted import AdoptedEngine, configured
from agent.http import HttpClient
from agent.launch import Launcher
from agent.leader import LeaderClient
from agent.probe import node_info, probe
from agent.process import SystemProcesses
from agent.rack import Rack
from agent.sync import Sync
from flockpy.clock import SystemClock
from flockpy.engines import DRIVERS
from flockpy.errors import StartError
from flockpy.lockfile import hold
from flockpy.settings import Settings, prepare_data_dir
from flockpy.supervision import parent_gone

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """How this agent was started. `supervised`: standard input is a pipe that its parent holds open."""

    leader: str
    token_file: Path | None
    local: bool
    supervised: bool


async def run(settings: Settings, options: Options) -> None:
    """Be the agent of this machine until told to stop; no engine it started is left then. Raises StartError."""
    data = settings.data
    prepare_data_dir(data)
    lock = hold(data.agent_lock, "an agent")
    try:
        await _Agent(settings, options).run()
    finally:
        lock.release()


class _Agent:
    def __init__(self, settings: Settings, options: Options) -> None:
        self._settings = settings
        self._options = options
        self._stop = asyncio.Event()
        self._refused: StartError | None = None

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        http = HttpClient()
        drivers = tuple(DRIVERS.values())
        engine = self._settings.config.engine
        probed = await probe(self._settings.config, drivers)
        info = node_info(probed)
        for found in info.engines:
            log.info(
                "engine %s: %s", found.name, found.version or "here" if found.available else found.reason
            )
        launcher = Launcher(
            data=self._settings.data,
            machine=probed.machine,
            drivers=drivers,
            infos={found.name: found for found in probed.engines},
            preferred=engine.preferred,
            processes=SystemProcesses(),
            entropy=secrets.token_bytes,
            free_memory=lambda: psutil.virtual_memory().available,
        )
        adopted: list[AdoptedEngine] = []
        sync = Sync(
            leader=LeaderClient(self._options.leader, http),
            data=self._settings.data,
            token_file=self._options.token_file,
            local=self._options.local,
            boot_id=secrets.token_hex(8),
            entropy=secrets.token_bytes,
            info=lambda: info,
            reports=lambda: (*rack.reports(), *(report for it in adopted for report in it.reports())),
            apply=lambda desired: rack.apply(desired),
        )
        rack = Rack(launcher, http, SystemClock(), sync.changed)
        adopted += [AdoptedEngine(known, http, sync.changed) for known in configured(engine)]
        async with asyncio.TaskGroup() as tasks:
            owning = tasks.create_task(rack.run())
            background = [
                tasks.create_task(self._talk(sync)),
                *(tasks.create_task(it.run()) for it in adopted),
            ]
            if self._options.supervised:
                background.append(tasks.create_task(self._follow_parent()))
            await self._stop.wait()
            log.info("stopping; the engines are ended")
            for task in background:
                task.cancel()
            rack.stop()
            await owning
        await sync.goodbye()
        await http.close()
        if self._refused:
            raise self._refused

    async def _talk(self, sync: Sync) -> None:
        try:
            await sync.run()
        except* StartError as group:
            self._refused = next(error for error in group.exceptions if isinstance(error, StartError))
            self._stop.set()

    async def _follow_parent(self) -> None:
        await parent_gone()
        log.warning("the process that started this agent is gone")
        self._stop.set()
