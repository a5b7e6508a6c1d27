"""The checks of ``flockpy doctor`` on this machine. Each answers findings; none changes anything."""

import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flockpy.catalog import folders, load_vendors, shipped_chains
from flockpy.cli import probe
from flockpy.cli.client import url_here
from flockpy.cli.up import see_that_port_is_free
from flockpy.config import split_listen
from flockpy.engines import DRIVERS
from flockpy.errors import StartError
from flockpy.lockfile import holder
from flockpy.settings import Settings, see_directories, unknown_variables
from flockpy.units import bytes_text, duration_text

FAKE = "fake"
"""An engine for tests; nobody needs it."""

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`mend` is the command or value that puts it right; "" when there is nothing to mend."""

    check: str
    state: State
    message: str
    mend: str = ""


def surroundings(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """What the configuration names and is not there, and variables that do not count."""
    try:
        see_directories(settings)
    except StartError as error:
        yield Finding("configuration", "problem", error.message, error.hint or "")
    for told in unknown_variables(environ):
        yield Finding(
            "configuration", "note", told, f"unset {told.split()[0]}; README.md lists those there are"
        )


def machine(settings: Settings) -> Iterator[Finding]:
    """Hardware and engines, seen with the agent's own eyes."""
    import asyncio

    import psutil

    from agent.probe import probe

    seen = asyncio.run(probe(settings.config, [driver for driver in DRIVERS.values() if driver.name != FAKE]))
    memory = psutil.virtual_memory()
    words = f"{seen.hardware.cpu}, {seen.hardware.physical_cores} cores, {bytes_text(memory.total)} memory"
    yield Finding("hardware", "ok", f"{words}, {bytes_text(memory.available)} of it free")
    for device in seen.hardware.devices:
        if device.kind != "cpu":
            yield Finding("hardware", "ok", f"{device.name}, {bytes_text(device.memory_bytes)} memory")
    if memory.available < 2**30:
        mend = "end other programs, or unload a model: flockpy model unload"
        yield Finding("hardware", "note", "less than 1 GiB of memory is free", mend)
    flags = seen.machine.cpu_flags
    if flags and seen.machine.arch in ("x86_64", "AMD64"):
        yield _avx2("avx2" in flags)
    for engine in seen.engines:
        what, _, mend = engine.reason.partition(": ")
        message = f"{engine.name} {engine.version}".rstrip() if engine.available else f"{engine.name}: {what}"
        yield Finding("engines", "ok" if engine.available else "note", message, mend)
    if not any(engine.available for engine in seen.engines):
        yield Finding("engines", "problem", "no engine can run here", "pip install xllamacpp")


def data_directory(settings: Settings) -> Iterator[Finding]:
    root = settings.data.root
    if not root.exists():
        yield Finding("data", "ok", f"{root} is made on the first start")
        return
    if not os.access(root, os.W_OK | os.X_OK):
        yield Finding("data", "problem", f"{root} cannot be written", f'sudo chown -R "$USER" {root}')
    private = [root, settings.data.admin_key, settings.data.identity, settings.data.database]
    for path in private:
        yield from _private(path)
    if not any(_private(path) for path in private):
        yield Finding("data", "ok", f"{root}")


def disk(settings: Settings) -> Iterator[Finding]:
    where = next(path for path in (settings.data.root, *settings.data.root.parents) if path.exists())
    free = shutil.disk_usage(where).free
    message = f"{bytes_text(free)} free for {settings.data.root}"
    if free < 2**30:
        yield Finding("disk", "problem", message, "free some space, or move: FLOCK_DATA_DIR=DIR flockpy up")
    elif free < 10 * 2**30:
        yield Finding("disk", "note", f"{message}: few models fit", "FLOCK_DATA_DIR=DIR flockpy up")
    else:
        yield Finding("disk", "ok", message)


def clock(settings: Settings) -> Iterator[Finding]:
    newest = max(
        (path.stat().st_mtime for path in (Path(__file__), settings.file) if path.exists()), default=0
    )
    ahead = newest - time.time()
    if ahead > 60:
        yield Finding(
            "clock",
            "problem",
            f"the clock is at least {duration_text(ahead)} behind: files here are from the future",
            "sudo timedatectl set-ntp true",
        )
    else:
        yield Finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S %z"))


def port(settings: Settings) -> Iterator[Finding]:
    host, number = split_listen(settings.config.listen)
    if held := holder(settings.data.up_lock):
        ready = probe.is_ready(url_here(settings))
        state: State = "ok" if ready else "problem"
        words = "is ready" if ready else "is not ready"
        yield Finding("leader", state, f"runs (pid {held.pid}) and {words}", "" if ready else "flockpy logs")
        return
    try:
        see_that_port_is_free(host, number)
    except StartError as error:
        yield Finding("port", "problem", error.message, error.hint or "")
    else:
        yield Finding("port", "ok", f"{number} is free")
        yield Finding("leader", "note", "does not run", "flockpy up")


def catalog(settings: Settings) -> Iterator[Finding]:
    """Files of the configured folders, which stop the start when they are wrong."""
    places = folders(settings.config.catalog_dir)
    try:
        load_vendors(places)
        shipped_chains(places)
    except StartError as error:
        yield Finding("catalog", "problem", error.message, "mend the file, or take it out of the folder")


def _avx2(there: bool) -> Finding:
    if there:
        return Finding("processor", "ok", "has AVX2")
    mend = "install llama.cpp and put llama-server on PATH"
    return Finding("processor", "note", "has no AVX2, which the embedded engine needs", mend)


def _private(path: Path) -> list[Finding]:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return []
    if not mode & 0o077:
        return []
    wanted = "700" if path.is_dir() else "600"
    return [Finding("data", "problem", f"others may read {path} (mode {mode:o})", f"chmod {wanted} {path}")]
