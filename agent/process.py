"""Engine processes of this machine: start, watch, end, and find again after a restart.

A process is marked by its environment, so that it is known whoever lost track of it: `MARK_OWNER` names the data
directory, `MARK_LAUNCH` the one start it comes from. Each leads a session of its own and so survives its agent.
"""

import asyncio
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from agent import enginelog
from flockpy.engines.base import Launch
from flockpy.environment import for_engine
from flockpy.paths import package_root

MARK_OWNER = "FLOCK_ENGINE_OF"
MARK_PLACEMENT = "FLOCK_PLACEMENT"
MARK_LAUNCH = "FLOCK_LAUNCH"
POLL_S = 0.2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessRef:
    """One process: a pid may be used again by another one, `launch` (its mark) never is."""

    pid: int
    launch: str


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_s: float
    memory_bytes: int


class Processes(Protocol):
    """What an instance needs of the machine."""

    def spawn(self, launch: Launch, marks: Mapping[str, str], log_file: Path) -> ProcessRef:
        """Start a process. Raises OSError when it cannot be."""
        ...

    def usage(self, ref: ProcessRef) -> Usage | None:
        """None when it is gone."""
        ...

    def signal(self, ref: ProcessRef, number: int) -> None:
        """Send a signal; nothing happens when it is gone."""
        ...

    async def ended(self, ref: ProcessRef) -> int | None:
        """Wait until it is gone. Its exit status, negative for a signal; None when that cannot be known."""
        ...

    def marked(self, owner: str) -> list[ProcessRef]:
        """Every living process that comes from the agent of the data directory `owner`; those it started first."""
        ...

    def free_port(self) -> int:
        """A loopback port that nobody listens on right now."""
        ...


class SystemProcesses:
    """The real ones.

    psutil's own objects know their process by its start on the machine's monotonic clock; the start in seconds since
    the epoch, which it also offers, moves when the clock is set.
    """

    def __init__(self) -> None:
        self._known: dict[ProcessRef, psutil.Process] = {}
        self._children: dict[ProcessRef, subprocess.Popen[bytes]] = {}

    def spawn(self, launch: Launch, marks: Mapping[str, str], log_file: Path) -> ProcessRef:
        env = for_engine(os.environ)
        env["PYTHONPATH"] = os.pathsep.join(filter(None, (str(package_root()), env.get("PYTHONPATH"))))
        output = enginelog.open_for_append(log_file)
        try:
            child = subprocess.Popen(
                launch.argv,
                env={**env, **launch.env, **marks},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # SIGPIPE stays ignored, as in Python: a client that leaves must not end the engine.
                restore_signals=False,
            )
        finally:
            os.close(output)
        ref = ProcessRef(child.pid, marks[MARK_LAUNCH])
        self._children[ref] = child
        self._known[ref] = psutil.Process(child.pid)  # not reaped yet, so it is there, if as a zombie
        return ref

    def usage(self, ref: ProcessRef) -> Usage | None:
        process = self._living(ref)
        if process is None:
            return None
        try:
            with process.oneshot():
                times = process.cpu_times()
                return Usage(times.user + times.system, process.memory_info().rss)
        except psutil.Error:
            return None

    def signal(self, ref: ProcessRef, number: int) -> None:
        process = self._living(ref)
        if process is None:
            return
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            return
        except psutil.AccessDenied:
            log.warning("not allowed to signal process %d", ref.pid)

    async def ended(self, ref: ProcessRef) -> int | None:
        await self._gone(ref)
        self._known.pop(ref, None)
        child = self._children.pop(ref, None)
        return child.wait() if child else None

    def marked(self, owner: str) -> list[ProcessRef]:
        started: list[ProcessRef] = []
        helpers: list[ProcessRef] = []
        for process in psutil.process_iter():
            try:
                env = process.environ()
                if env.get(MARK_OWNER) != owner or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                own_session = os.getsid(process.pid) == process.pid
            except (psutil.Error, OSError):
                continue  # another user's, or gone meanwhile
            ref = ProcessRef(process.pid, env.get(MARK_LAUNCH, ""))
            self._known[ref] = process
            (started if own_session else helpers).append(ref)
        return started + helpers

    def free_port(self) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    def _living(self, ref: ProcessRef) -> psutil.Process | None:
        process = self._known.get(ref)
        try:
            alive = process and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return None
        return process if alive else None

    async def _gone(self, ref: ProcessRef) -> None:
        """Wait for its end without reaping it: through a pidfd where there are such, else by looking often."""
        try:
            descriptor = os.pidfd_open(ref.pid) if hasattr(os, "pidfd_open") else -1
        except OSError:
            descriptor = -1
        if descriptor < 0:
            while self._living(ref) is not None:  # noqa: ASYNC110  (there is nothing that would wake us)
                await asyncio.sleep(POLL_S)
            return
        loop = asyncio.get_running_loop()
        gone = asyncio.Event()
        loop.add_reader(descriptor, gone.set)
        try:
            if self._living(ref) is not None:  # the descriptor is of this process and of no successor
                await gone.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


async def insist(processes: Processes, ref: ProcessRef, grace_s: float) -> None:
    """Ask a process to end, and after `grace_s` make it. Never returns: cancel it when the process is gone."""
    processes.signal(ref, signal.SIGTERM)
    processes.signal(ref, signal.SIGCONT)  # one that is stopped would never see the first
    await asyncio.sleep(grace_s)
    while True:
        processes.signal(ref, signal.SIGKILL)
        await asyncio.sleep(1.0)


async def end(processes: Processes, ref: ProcessRef, grace_s: float) -> None:
    """End a process that nobody watches; return when it is gone."""
    insisting = asyncio.ensure_future(insist(processes, ref, grace_s))
    try:
        await processes.ended(ref)
    finally:
        insisting.cancel()
