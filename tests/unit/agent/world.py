"""A machine made of data: processes and answers that tests control, for code that owns engines."""

import asyncio
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from agent.http import Answer, NoAnswer
from agent.launch import Launcher
from agent.process import ProcessRef, Usage
from flockpy.engines.base import Launch, Machine
from flockpy.engines.fake import FakeDriver
from flockpy.node import EngineInfo
from flockpy.paths import DataDir
from flockpy.placement import ModelSpec, PlacementSpec

READY = Answer(200, b'{"default_generation_settings":{"n_ctx":4096},"total_slots":2}')


def spec(placement_id: str = "p_1", model_id: str = "m") -> PlacementSpec:
    return PlacementSpec(placement_id, ModelSpec(model_id, "m.fake.json", 1, 4096))


@dataclass(slots=True)
class Process:
    """A process of this world. `stubborn`: only SIGKILL ends it."""

    ref: ProcessRef
    port: int
    answering: bool = True
    stubborn: bool = False
    cpu_s: float = 0.0
    code: int | None = None
    signals: list[int] = field(default_factory=list[int])
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, code: int) -> None:
        self.code = code
        self.gone.set()


@dataclass(slots=True)
class World:
    """Implements `Processes` and `Http`. `born_dead`: exit status with which each new process ends at once."""

    born_dead: int | None = None
    answer: Answer = READY
    processes: list[Process] = field(default_factory=list[Process])
    strays: list[ProcessRef] = field(default_factory=list[ProcessRef])

    @property
    def living(self) -> list[Process]:
        return [process for process in self.processes if not process.gone.is_set()]

    def spawn(self, launch: Launch, marks: Mapping[str, str], log_file: Path) -> ProcessRef:
        port = int(launch.argv[launch.argv.index("--port") + 1])
        process = Process(ProcessRef(1000 + len(self.processes), marks["FLOCK_LAUNCH"]), port)
        self.processes.append(process)
        if self.born_dead is not None:
            process.end(self.born_dead)
        return process.ref

    def usage(self, ref: ProcessRef) -> Usage | None:
        process = self._process(ref)
        return None if process.gone.is_set() else Usage(process.cpu_s, 1000)

    def signal(self, ref: ProcessRef, number: int) -> None:
        process = self._process(ref)
        process.signals.append(number)
        if number == signal.SIGKILL or (number == signal.SIGTERM and not process.stubborn):
            process.end(-number)

    async def ended(self, ref: ProcessRef) -> int | None:
        process = self._process(ref)
        await process.gone.wait()
        return process.code

    def marked(self, owner: str) -> list[ProcessRef]:
        return [process.ref for process in self.living]

    def free_port(self) -> int:
        return 20000 + len(self.processes)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", timeout_s: float
    ) -> Answer:
        port = int(url.rpartition(":")[2].partition("/")[0])
        process = next((process for process in self.living if process.port == port), None)
        if process is None:
            raise NoAnswer("refused")
        if not process.answering:
            await asyncio.sleep(timeout_s)
            raise NoAnswer("silent")
        return self.answer

    def _process(self, ref: ProcessRef) -> Process:
        return next(process for process in self.processes if process.ref == ref)


async def no_metadata(path: str) -> None:
    return None


def launcher(world: World, root: Path) -> Launcher:
    numbers = iter(range(1000))
    return Launcher(
        data=DataDir(root),
        machine=Machine("linux", "x86_64", 2, "python3"),
        drivers=(FakeDriver(),),
        infos={"fake": EngineInfo("fake", True)},
        preferred="",
        processes=world,
        entropy=lambda count: next(numbers).to_bytes(count, "big"),
        free_memory=lambda: 2**30,
        inspect=no_metadata,
    )


def encoded(body: object) -> Answer:
    return Answer(200, msgspec.json.encode(body))
