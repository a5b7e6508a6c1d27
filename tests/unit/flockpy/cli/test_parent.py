"""The parent of `flockpy up`, with a small leader and agent in the place of the real ones."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from flockpy.cli.parent import Plan
from flockpy.lockfile import Held, holder
from flockpy.paths import DataDir
from tests.ports import free_port
from tests.unit.flockpy.cli.stub_household import environment


class Running:
    def __init__(self, data: Path, process: subprocess.Popen[str]) -> None:
        self.data = data
        self.process = process

    def pids(self, name: str) -> list[int]:
        file = self.data / f"{name}.pids"
        return [int(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []

    async def settled(self) -> None:
        self.wait_ready()
        await self.until(lambda: self.pids("agent"))

    async def until(self, what: Callable[[], object], seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, "not within its time"
            await asyncio.sleep(0.02)

    def wait_ready(self) -> str:
        """What is printed until the last line of the banner."""
        assert self.process.stdout is not None
        seen = ""
        for line in self.process.stdout:
            seen += line
            if "Stop:" in line:
                return seen
        raise AssertionError(f"it ended before it was ready: {seen}")

    def end(self, *signals: signal.Signals) -> int:
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(20)


@asynccontextmanager
async def running(data: Path, port: int, grace: float = 10) -> AsyncIterator[Running]:
    (data / "run").mkdir(exist_ok=True)
    url = f"http://127.0.0.1:{port}"
    plan = Plan(str(data), url, url, grace)
    text = json.dumps({name: getattr(plan, name) for name in Plan.__slots__})
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "flockpy.cli.parent", text],
        env=environment(data, port),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    up = Running(data, process)
    try:
        yield up
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)
        await up.until(lambda: not any(map(psutil.pid_exists, up.pids("leader") + up.pids("agent"))))


@pytest.fixture
def port() -> int:
    return free_port()


async def test_it_says_where_everything_is_and_shows_the_key_on_the_first_run_only(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        banner = up.wait_ready()
        assert f"http://127.0.0.1:{port}/v1" in banner
        assert "Bearer sk-orc-the-admin-key" in banner
        assert '"model":"auto"' in banner
        assert "\x1b" not in banner
        assert up.end(signal.SIGINT) == 0
    async with running(tmp_path, port) as up:
        banner = up.wait_ready()
        assert (tmp_path / "run" / "address").read_text() == f"http://127.0.0.1:{port}\n"
        assert "sk-orc-the-admin-key" not in banner
        assert str(tmp_path / "admin.key") in banner
        assert up.end(signal.SIGTERM) == 0
        assert not (tmp_path / "run" / "address").exists()


async def test_a_leader_that_dies_comes_back_and_the_agent_does_not_notice(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        os.kill(up.pids("leader")[0], signal.SIGKILL)
        await up.until(lambda: len(up.pids("leader")) == 2)
        assert len(up.pids("agent")) == 1
        assert psutil.pid_exists(up.pids("agent")[0])
        assert up.end(signal.SIGINT) == 0


async def test_an_agent_that_dies_comes_back_and_the_leader_does_not_notice(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        os.kill(up.pids("agent")[0], signal.SIGKILL)
        await up.until(lambda: len(up.pids("agent")) == 2)
        assert len(up.pids("leader")) == 1
        assert up.end(signal.SIGINT) == 0


async def test_the_leader_ends_before_the_agent(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        assert up.end(signal.SIGTERM) == 0
        assert (tmp_path / "stops").read_text().split() == ["leader", "agent"]
        assert holder(DataDir(tmp_path).up_lock) is None


async def test_the_children_end_when_the_parent_is_killed(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        assert up.end(signal.SIGKILL) == -signal.SIGKILL
        await up.until(lambda: not any(map(psutil.pid_exists, up.pids("leader") + up.pids("agent"))))


async def test_ctrl_c_reaches_the_parent_alone(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        sessions = {os.getsid(pid) for pid in (up.process.pid, up.pids("leader")[0], up.pids("agent")[0])}
        assert len(sessions) == 3
        assert up.end(signal.SIGINT) == 0


async def test_a_leader_that_cannot_start_ends_it_all_without_a_loop(tmp_path: Path, port: int):
    (tmp_path / "refuse").touch()
    async with running(tmp_path, port) as up:
        assert up.process.wait(20) == 1
        assert up.process.stderr is not None
        said = up.process.stderr.read()
        assert "the leader refuses" in said
        assert "the leader cannot start" in said
        assert said.count("the leader refuses") == 1


async def test_a_leader_that_cannot_start_again_may_do_so_later(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        (tmp_path / "refuse").touch()
        os.kill(up.pids("leader")[0], signal.SIGKILL)
        await up.until((tmp_path / "refused").exists)
        (tmp_path / "refuse").unlink()
        await up.until(lambda: len(up.pids("leader")) == 2)
        assert len(up.pids("agent")) == 1
        assert up.end(signal.SIGINT) == 0


async def test_a_second_signal_hurries_and_a_stubborn_leader_is_killed(tmp_path: Path, port: int):
    (tmp_path / "stubborn").touch()
    async with running(tmp_path, port, grace=600) as up:
        await up.settled()
        up.process.send_signal(signal.SIGINT)
        await up.until(lambda: (tmp_path / "stops").exists())
        assert up.end(signal.SIGINT) == 0
        assert (tmp_path / "stops").read_text().split() == ["leader", "agent"]


async def test_a_second_one_does_not_start(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        assert holder(DataDir(tmp_path).up_lock) == Held(up.process.pid)
        async with running(tmp_path, port) as second:
            assert second.process.wait(20) == 0
            assert second.process.stderr is not None
            assert f"already running (pid {up.process.pid})" in second.process.stderr.read()
            second.data = tmp_path / "none"
        assert up.end(signal.SIGINT) == 0


async def test_the_agent_is_told_where_the_leader_and_its_token_are(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        told = (tmp_path / "agent.pids").read_text().split()[1:]
        assert told == [
            *("--supervised", "--local", "--leader", f"http://127.0.0.1:{port}"),
            *("--token-file", str(DataDir(tmp_path).join_token)),
        ]
        assert up.end(signal.SIGINT) == 0


async def test_it_stays_small(tmp_path: Path, port: int):
    async with running(tmp_path, port) as up:
        await up.settled()
        assert psutil.Process(up.process.pid).memory_info().rss < 20 * 2**20
        assert up.end(signal.SIGINT) == 0
