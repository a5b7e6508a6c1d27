"""`flockpy up`, `status` and `down` as a person uses them: a real leader, a real agent, the demo model."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from flockpy.lockfile import holder
from flockpy.paths import DataDir, package_root
from tests.ports import free_port


class Home:
    """A machine's user who uses flockpy: a home directory and a terminal that is none."""

    def __init__(self, root: Path) -> None:
        self.data = DataDir(root / ".flock")
        self.port = free_port()
        self.url = f"http://localhost:{self.port}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "FLOCK_LISTEN": f":{self.port}",
        }
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> subprocess.Popen[str]:
        with (self.data.root.parent / "stderr").open("a") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "flockpy.cli.main", *words],
                cwd=package_root(),
                env=self.environ,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
        self.processes.append(process)
        return process

    def flockpy(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flockpy.cli.main", *words]
        return subprocess.run(
            command,
            cwd=package_root(),
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=90,
        )

    def document(self, *words: str) -> Any:
        ran = self.flockpy(*words, "--json")
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    def banner(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        seen = ""
        for line in process.stdout:
            seen += line
            if "Stop:" in line:
                return seen
        raise AssertionError((self.data.root.parent / "stderr").read_text())

    def family(self) -> dict[str, psutil.Process]:
        """The leader and the agent, by name."""
        held = holder(self.data.up_lock)
        assert held is not None
        children = psutil.Process(held.pid or 0).children()
        found: dict[str, psutil.Process] = {}
        for child in children:
            with contextlib.suppress(psutil.Error):  # one that ends right now
                command = child.cmdline()
                found |= {name: child for name in ("controlplane", "agent") if name in command}
        return found


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    home = Home(tmp_path)
    yield home
    home.flockpy("down")
    for process in home.processes:
        process.wait(60)
        if process.stdout:
            process.stdout.close()


async def until(what: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "not within its time"
        await asyncio.sleep(0.05)


async def test_from_the_first_start_to_the_first_answer_and_away_again(home: Home):
    banner = home.banner(home.start("up"))
    key = home.data.admin_key.read_text().strip()
    assert key in banner
    assert home.data.admin_key.stat().st_mode & 0o777 == 0o600
    answer = httpx.post(
        f"{home.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json={"model": "flock-demo", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8},
        timeout=90,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"]

    assert home.document("status")["role"] == "leader"
    [node] = home.document("node", "ls")["items"]
    assert node["state"] == "ready"
    assert home.document("model", "info", "flock-demo")["state"] == "serving"
    [record] = home.document("usage")["items"]
    assert record["request_id"] == answer.headers["x-request-id"]
    receipt = home.flockpy("why", record["request_id"])
    assert receipt.returncode == 0
    assert "try 1" in receipt.stdout
    for words in (
        ["usage", "verify"],
        ["audit", "verify"],
        ["usage", "--summary"],
        ["audit"],
        ["token", "ls"],
    ):
        ran = home.flockpy(*words)
        assert ran.returncode == 0, (words, ran.stderr)
    made = home.document("token", "create", "ada", "--quota", "5")
    assert made["key"].startswith("sk-orc-")
    assert home.flockpy("token", "revoke", "ada", "--yes").returncode == 0
    assert "flock-demo" in home.flockpy("logs", "flock-demo", "-n", "5").stdout
    assert home.flockpy("doctor").returncode == 0

    engines = [child for agent in home.family().values() for child in agent.children(recursive=True)]
    everyone = [*home.family().values(), *engines]
    assert engines
    down = home.flockpy("down")
    assert (down.returncode, down.stdout) == (0, "stopped\n")
    assert home.processes[0].wait(30) == 0
    assert not [process for process in everyone if process.is_running()]
    said = (home.data.root.parent / "stderr").read_text()
    assert key not in said
    assert "Traceback" not in said


async def test_a_second_up_prints_the_status_and_ends_well(home: Home):
    home.banner(home.start("up"))
    second = home.flockpy("up")
    assert second.returncode == 0
    assert "already running" in second.stderr
    assert f"http://127.0.0.1:{home.port}" in second.stdout
    assert home.processes[0].poll() is None


async def test_a_killed_leader_comes_back_and_its_agent_and_engines_stay(home: Home):
    home.banner(home.start("up"))
    assert home.flockpy("model", "load", "flock-demo").returncode == 0
    family = home.family()
    engines = {child.pid for child in family["agent"].children(recursive=True)}
    family["controlplane"].kill()

    def back() -> bool:
        try:
            return httpx.get(f"{home.url}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    await until(lambda: home.family().get("controlplane") not in (None, family["controlplane"]))
    await until(back)
    assert home.family()["agent"] == family["agent"]
    assert {child.pid for child in family["agent"].children(recursive=True)} == engines
    await until(lambda: home.document("model", "info", "flock-demo")["state"] == "serving")


async def test_nothing_is_left_when_the_parent_is_killed(home: Home):
    up = home.start("up")
    home.banner(up)
    assert home.flockpy("model", "load", "flock-demo").returncode == 0
    family = list(home.family().values())
    everyone = [*family, *(child for process in family for child in process.children(recursive=True))]
    up.send_signal(signal.SIGKILL)
    await until(lambda: not [process for process in everyone if process.is_running()], 60)


async def test_a_port_in_use_is_told_with_another(home: Home):
    home.banner(home.start("up"))
    home.environ["FLOCK_DATA_DIR"] = str(home.data.root.parent / "other")
    second = home.flockpy("up")
    del home.environ["FLOCK_DATA_DIR"]
    assert second.returncode == 1
    assert f"port {home.port} is in use" in second.stderr
    assert f"flockpy up --listen :{home.port + 1}" in second.stderr
