"""Looking at this machine: its hardware, the engines on it, and what the drivers want to know of both."""

import asyncio
import importlib.metadata
import os
import platform
import re
import shutil
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent.hardware import KINDS
from flockpy.config import Config
from flockpy.engines import mlx
from flockpy.engines.base import EngineDriver, Machine
from flockpy.engines.fake import FakeDriver
from flockpy.engines.llamacpp import PROGRAM
from flockpy.node import Device, EngineInfo, Hardware, NodeInfo
from flockpy.version import VERSION

TOOL_S = 10.0
_PACKAGES = ("xllamacpp", mlx.PACKAGE)
_BUILDS = (re.compile(r"\bbuild (\d+)"), re.compile(r"version: b?(\d+) \("))
"""How builds of llama.cpp tell their number, newest first."""

Run = Callable[[Sequence[str]], Awaitable[str]]
"""Run a tool and answer what it prints, "" when it is not there, fails or takes too long."""


@dataclass(frozen=True, slots=True)
class Probed:
    machine: Machine
    hardware: Hardware
    engines: tuple[EngineInfo, ...]


async def run_tool(argv: Sequence[str]) -> str:
    """The real `Run`; both output streams count."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError:
        return ""
    try:
        async with asyncio.timeout(TOOL_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return output.decode("utf-8", "replace") if process.returncode == 0 else ""


async def probe(config: Config, drivers: Sequence[EngineDriver], run: Run = run_tool) -> Probed:
    """What is here. Asks external tools, each for at most `TOOL_S`."""
    gpus = [device for kind in KINDS for device in kind.read(await run(kind.command))]
    programs: dict[str, str] = {}
    versions = {name: version for name in _PACKAGES if (version := package_version(name))}
    server = shutil.which(config.engine.llamacpp_path or PROGRAM)
    if server:
        programs[PROGRAM] = server
        versions[PROGRAM] = build_number(await run((server, "--version")))
    if server := shutil.which(mlx.PROGRAM):
        programs[mlx.PROGRAM] = server
    cores = physical_cores()
    machine = Machine(
        os=sys.platform,
        arch=platform.machine(),
        physical_cores=cores,
        python=sys.executable,
        cpu_flags=_cpu_flags(),
        programs=programs,
        versions=versions,
        accelerated=bool(gpus),
    )
    memory = psutil.virtual_memory().total
    cpu = Device("cpu", cpu_name(), memory)
    hardware = Hardware(
        os=sys.platform,
        arch=machine.arch,
        cpu=cpu.name,
        physical_cores=cores,
        memory_bytes=memory,
        devices=(*gpus, cpu),
    )
    return Probed(machine, hardware, tuple(driver.availability(machine) for driver in drivers))


def node_info(probed: Probed) -> NodeInfo:
    """What the leader is told; the fake engine is nobody's business."""
    engines = tuple(engine for engine in probed.engines if engine.name != FakeDriver.name)
    return NodeInfo(socket.gethostname(), VERSION, probed.hardware, engines)


def package_version(name: str) -> str:
    """The version of an installed Python package, without importing it; "" when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def build_number(output: str) -> str:
    """llama.cpp's build number in the answer to ``--version``, in any of its forms; "" when there is none."""
    return next((match.group(1) for form in _BUILDS if (match := form.search(output))), "")


def physical_cores() -> int:
    """Cores that this process may use, without the second threads of each."""
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    return max(1, min(cores, allowed))


def cpu_name() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _cpu_flags() -> frozenset[str]:
    return frozenset(_cpuinfo().get("flags", "").split())


def _cpuinfo() -> Mapping[str, str]:
    """The first processor of Linux's list; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}
