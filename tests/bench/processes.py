"""Starting, waiting for and stopping the programs of a bench run, and reading what a process tree uses."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

STEP_S = 0.05


class Unavailable(Exception):
    """A program of the bench is not on this machine, or did not come up; the message says what mends it."""


@contextlib.contextmanager
def running(
    command: list[str],
    log: Path,
    ready: Callable[[], bool],
    *,
    env: Mapping[str, str] | None = None,
    core: int | None = None,
    patience_s: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """The program while the block runs, started on `core` when one is given; stopped at the end.

    Raises Unavailable when it ends or is not `ready` in time.
    """
    with log.open("wb") as output, on_core(core):
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    try:
        deadline = time.monotonic() + patience_s
        while not ready():
            if ended(process) or time.monotonic() > deadline:
                tail = log.read_text(errors="replace")[-2000:]
                raise Unavailable(f"{Path(command[0]).name} did not come up (exit {process.poll()}):\n{tail}")
        yield process
    finally:
        stop(process)


def ended(process: subprocess.Popen[bytes]) -> bool:
    """Wait a moment; True when the process ended meanwhile."""
    try:
        process.wait(STEP_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Pin this process for a moment, so that what it starts meanwhile is pinned for good."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def listening(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tree(root: int) -> list[int]:
    """`root` and all its descendants that run now."""
    parents: dict[int, int] = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(directory.name)] = int(
                    (directory / "stat").read_text().rsplit(")", 1)[1].split()[1]
                )
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def rss_mb(root: int) -> float:
    """Resident memory of the whole tree."""
    return resident_mb(tree(root))


def resident_mb(pids: Iterable[int]) -> float:
    """Resident memory of processes; pages that several of them share count once (PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
