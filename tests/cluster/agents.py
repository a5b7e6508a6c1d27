"""Real agents, as processes, for tests."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from agent.process import MARK_OWNER


class AgentProcess:
    """``python -m agent`` on a data directory of its own; `start` may be called again after it ended."""

    def __init__(self, root: Path, leader_url: str, checkout: Path, *arguments: str, **env: str) -> None:
        self.root = root
        self.log = root / "agent.log"
        self.token_file = root / "token"
        self.token_file.write_text("join-me")
        self._argv = [sys.executable, "-m", "agent", "--leader", leader_url]
        self._argv += ["--token-file", str(self.token_file), *arguments]
        self._env = {**os.environ, "FLOCK_DATA_DIR": str(root), "FLOCK_ENGINE": "embedded", **env}
        self._checkout = checkout
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv, env=self._env, cwd=self._checkout, stdin=subprocess.PIPE, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """End it without a word, and clear up after it here."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    async def ended(self, limit_s: float = 30.0) -> int:
        """Its exit status, once it has ended; its log is in the failure when it has not."""
        async with asyncio.timeout(limit_s):
            while (code := self.process.poll()) is None:
                await asyncio.sleep(0.02)
        return code

    async def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    def engines(self) -> list[psutil.Process]:
        """Every living process with this data directory's mark."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK_OWNER) == str(self.root.resolve()):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return [process for process in found if alive(process)]


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def agent_process(
    root: Path, leader_url: str, checkout: Path, *arguments: str, **env: str
) -> Iterator[AgentProcess]:
    """A started agent; at the end nothing of it is left, and its log is shown if the test fails."""
    root.mkdir(parents=True, exist_ok=True)
    agent = AgentProcess(root, leader_url, checkout, *arguments, **env)
    agent.start()
    try:
        yield agent
    finally:
        agent.kill()
        for engine in agent.engines():
            engine.kill()
        sys.stdout.write(agent.log.read_text())
