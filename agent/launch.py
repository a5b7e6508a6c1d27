"""From a placement to a running process: choose the engine, look at the model, settle the options, start it."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent import enginelog
from agent.process import MARK_LAUNCH, MARK_OWNER, MARK_PLACEMENT, Processes, ProcessRef
from agent.records import Record, Records
from flockpy.engines.base import EngineDriver, Listen, Machine
from flockpy.engines.choice import choose_driver
from flockpy.errors import BadRequest
from flockpy.gguf import read_metadata
from flockpy.ids import Entropy
from flockpy.modelfile import ModelMetadata
from flockpy.node import EngineInfo
from flockpy.paths import DataDir
from flockpy.placement import Endpoint, PlacementSpec

USABLE_MEMORY = 0.9
"""The part of the memory that is free now which a new engine may count on."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Launched:
    """A process of ours. `log_from`: where in its log its own words begin, in bytes."""

    ref: ProcessRef
    driver: EngineDriver
    endpoint: Endpoint
    log: Path
    log_from: int
    found: bool = False
    """It was started by an earlier agent."""


class NoLaunch(Exception):
    """It could not be started; the text says why. `hopeless`: another try cannot do better."""

    def __init__(self, reason: str, *, hopeless: bool) -> None:
        super().__init__(reason)
        self.hopeless = hopeless


async def inspect(path: str) -> ModelMetadata | None:
    """What a model file says of itself; None when it is no GGUF file.

    Raises FileNotFoundError, and BadRequest when it is damaged.
    """

    def look(file: Path) -> ModelMetadata | None:
        if not file.exists():
            raise FileNotFoundError(path)
        return read_metadata(file) if path.endswith(".gguf") else None

    return await asyncio.to_thread(look, Path(path))


@dataclass(slots=True)
class Launcher:
    """Starts engines on this machine. `free_memory` answers bytes."""

    data: DataDir
    machine: Machine
    drivers: Sequence[EngineDriver]
    infos: Mapping[str, EngineInfo]
    preferred: str
    processes: Processes
    entropy: Entropy
    free_memory: Callable[[], int]
    inspect: Callable[[str], Awaitable[ModelMetadata | None]] = inspect
    records: Records = field(init=False)

    def __post_init__(self) -> None:
        self.records = Records(self.data)

    async def launch(self, spec: PlacementSpec) -> Launched:
        """Start an engine. Raises NoLaunch."""
        driver = choose_driver(spec.engine, spec.model, self.preferred, self.drivers, self.infos)
        if isinstance(driver, str):
            raise NoLaunch(driver, hopeless=True)
        meta = await self._look_at(spec)
        memory = None if self.machine.accelerated else int(self.free_memory() * USABLE_MEMORY)
        options = driver.settle(spec.model, meta, spec.options, memory)
        if options.context < min(spec.options.context, spec.model.context_window or spec.options.context):
            log.info("%s gets a context of %d tokens, by its memory", spec.model.id, options.context)

        record = Record(self._random(10), spec, driver.name, self.processes.free_port(), self._random(20))
        settled = msgspec.structs.replace(spec, options=options)
        command = driver.command(settled, meta, Listen(record.port, record.key), self.machine)
        marks = {MARK_OWNER: owner(self.data), MARK_PLACEMENT: spec.id, MARK_LAUNCH: record.launch}
        log_file = self.data.engine_log(spec.model.id)
        log_from = enginelog.prepare(log_file)
        self.records.save(record)
        try:
            ref = self.processes.spawn(command, marks, log_file)
        except OSError as error:
            self.records.remove(spec.id)
            raise NoLaunch(f"{command.argv[0]} cannot be started: {error.strerror}", hopeless=False) from None
        log.info(
            "started %s for %s as process %d on port %d", driver.name, spec.model.id, ref.pid, record.port
        )
        return Launched(ref, driver, _endpoint(record), log_file, log_from)

    def adopt(self, record: Record, ref: ProcessRef) -> Launched | None:
        """Take over the process of a record; None when no driver knows that engine any more."""
        driver = next((driver for driver in self.drivers if driver.name == record.engine), None)
        if driver is None:
            return None
        log_file = self.data.engine_log(record.spec.model.id)
        return Launched(ref, driver, _endpoint(record), log_file, enginelog.size(log_file), found=True)

    async def _look_at(self, spec: PlacementSpec) -> ModelMetadata | None:
        try:
            meta = await self.inspect(spec.model.path)
        except FileNotFoundError:
            raise NoLaunch(f"there is no file {spec.model.path} on this machine", hopeless=False) from None
        except BadRequest as error:
            raise NoLaunch(error.message, hopeless=True) from None
        if meta is not None and meta.kind != "model":
            raise NoLaunch(f"{spec.model.path} is no model by itself but {meta.kind} of one", hopeless=True)
        return meta

    def _random(self, count: int) -> str:
        return base64.b32encode(self.entropy(count)).decode().rstrip("=").lower()


def owner(data: DataDir) -> str:
    """How the processes of this data directory are marked."""
    return str(data.root.resolve())


def _endpoint(record: Record) -> Endpoint:
    return Endpoint(f"http://127.0.0.1:{record.port}", record.key)
