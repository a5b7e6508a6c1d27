"""Real processes of this machine."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.process import MARK_LAUNCH, MARK_OWNER, ProcessRef, SystemProcesses, end
from flockpy.engines.base import Launch

STUBBORN = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def processes() -> Iterator[SystemProcesses]:
    made = SystemProcesses()
    yield made
    for child in made._children.values():  # pyright: ignore[reportPrivateUsage]
        child.kill()
        child.wait()


def start(processes: SystemProcesses, log: Path, code: str, launch: str = "one") -> ProcessRef:
    marks = {MARK_OWNER: str(log), MARK_LAUNCH: launch}
    return processes.spawn(Launch((sys.executable, "-c", code), {}), marks, log)


async def said(log: Path, text: str) -> None:
    async with asyncio.timeout(10):
        while text not in log.read_text():
            await asyncio.sleep(0.01)


async def test_an_exit_status_is_told(processes: SystemProcesses, log: Path):
    ref = start(processes, log, "import sys; print('hello'); sys.exit(7)")
    assert await asyncio.wait_for(processes.ended(ref), 10) == 7
    assert log.read_text() == "hello\n"
    assert processes.usage(ref) is None
    processes.signal(ref, signal.SIGKILL)  # nothing happens


async def test_a_process_leads_its_own_session_and_knows_nothing_of_us(
    processes: SystemProcesses, log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("FLOCK_TOKEN", "secret")
    monkeypatch.setenv("LLAMA_ARG_HOST", "0.0.0.0")
    code = "import os; print(os.getsid(0) == os.getpid(), sorted(k for k in os.environ if k[:5] in 'FLOCK LLAMA'))"
    ref = start(processes, log, code)
    assert await asyncio.wait_for(processes.ended(ref), 10) == 0
    assert log.read_text() == "True ['FLOCK_ENGINE_OF', 'FLOCK_LAUNCH']\n"


async def test_a_stubborn_process_is_killed(processes: SystemProcesses, log: Path):
    ref = start(processes, log, STUBBORN)
    await said(log, "up")
    usage = processes.usage(ref)
    assert usage is not None
    assert usage.memory_bytes > 2**20
    await asyncio.wait_for(end(processes, ref, 0.1), 10)
    assert processes.usage(ref) is None


async def test_a_stopped_process_ends_too(processes: SystemProcesses, log: Path):
    ref = start(processes, log, "import signal; print('up', flush=True); signal.pause()")
    await said(log, "up")
    processes.signal(ref, signal.SIGSTOP)
    await asyncio.wait_for(end(processes, ref, 5), 10)


async def test_another_agent_finds_it_by_its_marks(processes: SystemProcesses, log: Path):
    ref = start(processes, log, STUBBORN, "mine")
    await said(log, "up")
    other = SystemProcesses()
    assert other.marked(str(log)) == [ref]
    assert other.marked("another owner") == []
    waiting = asyncio.ensure_future(other.ended(ref))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    other.signal(ref, signal.SIGKILL)
    assert await asyncio.wait_for(waiting, 10) is None
    assert other.marked(str(log)) == []  # although nobody has reaped it yet
    assert await asyncio.wait_for(processes.ended(ref), 10) == -signal.SIGKILL


async def test_it_works_where_there_are_no_pidfds(
    processes: SystemProcesses, log: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delattr(os, "pidfd_open")
    ref = start(processes, log, "pass")
    assert await asyncio.wait_for(processes.ended(ref), 10) == 0


def test_a_program_that_is_not_there_is_an_error(processes: SystemProcesses, log: Path):
    with pytest.raises(FileNotFoundError):
        processes.spawn(Launch(("no-such-program-anywhere",), {}), {MARK_LAUNCH: "x"}, log)


def test_free_ports_are_free(processes: SystemProcesses):
    assert 1024 < processes.free_port() < 65536
