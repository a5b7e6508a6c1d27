"""A real `flockpy up` for a test: parent, leader, agent and engines as processes, in a data directory of its own."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from flockpy.environment import for_agent
from tests.ports import free_port

T = TypeVar("T")
START_S = 60.0


def eventually(look: Callable[[], T | None], what: str, within: float = 30.0) -> T:
    """The first true answer of `look`, asked again and again; fails the test when there is none `within` seconds."""
    deadline = time.monotonic() + within
    pause = threading.Event()
    while True:
        if answer := look():
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        pause.wait(0.05)


def stay_within_a_day(seconds: float = 40.0) -> None:
    """Wait, when a new day of UTC, in which every quota is whole again, begins in the next `seconds`."""
    left = 86_400 - time.time() % 86_400
    if left < seconds:
        threading.Event().wait(left + 1)


class Program:
    """Started by `running`. `url` is the leader's; `key` the admin's; `log` everything all processes have said."""

    def __init__(self, data_dir: Path, port: int, environ: dict[str, str]) -> None:
        self.data_dir = data_dir
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.environ = {
            **{k: v for k, v in for_agent(os.environ).items() if not k.startswith("FLOCK_")},
            "FLOCK_DATA_DIR": str(data_dir),
            "FLOCK_LISTEN": f":{port}",
            "HOME": str(data_dir.parent),
            **environ,
        }
        self.parent: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """`flockpy up`, until it is ready."""
        with self.log.open("ab") as log:
            self.parent = subprocess.Popen(
                [sys.executable, "-m", "flockpy.cli.main", "up", "--no-wizard"],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually(self.ready, f"the leader is ready; see {self.log}", START_S)

    def ready(self) -> bool:
        """Whether /readyz says so, and it is this program that says it."""
        assert self.parent is None or self.parent.poll() is None, (
            f"flockpy up has ended: {self.said()[-2000:]}"
        )
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text().strip()

    def client(self, key: str | None = None, timeout: float = 60) -> httpx.Client:
        """An HTTP client with the admin's key, or another."""
        return httpx.Client(
            base_url=self.url, timeout=timeout, headers={"authorization": f"Bearer {key or self.key}"}
        )

    def get(self, path: str) -> Any:
        """The JSON of an admin route."""
        with self.client() as client:
            answer = client.get(path)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None) -> Any:
        with self.client() as client:
            answer = client.post(path, json=body if body is not None else {})
        assert answer.status_code < 300, answer.text
        return answer.json()

    def cli(self, *arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A flockpy command against this program, in its environment or in another."""
        return subprocess.run(
            [sys.executable, "-m", "flockpy.cli.main", *arguments],
            env=environ or self.environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def cli_json(self, *arguments: str) -> Any:
        done = self.cli(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def chat(self, model: str = "flock-demo", text: str = "hi", **fields: Any) -> httpx.Response:
        """One chat completion, whatever comes of it."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], **fields}
        with self.client() as client:
            return client.post("/v1/chat/completions", json=body)

    def model_state(self, model: str) -> str:
        items = self.get("/admin/v1/models")["items"]
        return next((item["state"] for item in items if item["id"] == model), "absent")

    def add_model(self, path: Path, model: str, **fields: Any) -> None:
        """Install a GGUF and wait until it serves."""
        self.post("/admin/v1/models", {"ref": f"file:{path}", "id": model, "load": True, **fields})
        eventually(lambda: self.model_state(model) == "serving", f"{model} serves")

    def create_key(self, name: str = "someone", **fields: Any) -> str:
        if "daily_token_quota" in fields:
            stay_within_a_day()
        return self.post("/admin/v1/tokens", {"name": name, **fields})["key"]

    def process(self, what: str) -> psutil.Process:
        """The live process of the ``leader`` or the ``agent``."""
        module = {"leader": "controlplane", "agent": "agent"}[what]
        assert self.parent is not None
        children = psutil.Process(self.parent.pid).children()
        return next(child for child in children if module in child.cmdline())

    def engines(self) -> list[psutil.Process]:
        """Engine processes that belong to this data directory, wherever they hang in the process tree."""
        found: list[psutil.Process] = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("FLOCK_ENGINE_OF") == str(self.data_dir)
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def stop(self) -> int:
        """SIGTERM to the parent; answers its exit code."""
        assert self.parent is not None
        if self.parent.poll() is None:
            self.parent.send_signal(signal.SIGTERM)
        return self.parent.wait(60)

    def kill_everything(self) -> None:
        """SIGKILL to parent, leader and agent at once; engines stay."""
        assert self.parent is not None
        victims = [psutil.Process(self.parent.pid), *psutil.Process(self.parent.pid).children()]
        for (
            victim
        ) in victims:  # an agent that sees its parent gone has time for nothing, not even for its engines
            victim.suspend()
        for victim in victims:
            victim.kill()
        self.parent.wait(10)
        psutil.wait_procs(victims, timeout=10)


@contextmanager
def running(folder: Path, **environ: str) -> Iterator[Program]:
    """A program in `folder`/data that is ready, and gone with all its engines afterwards."""
    program = Program(folder / "data", free_port(), environ)
    try:
        program.start()
        yield program
    finally:
        if program.parent is not None:
            try:
                program.stop()
            except subprocess.TimeoutExpired:
                program.kill_everything()
        for engine in program.engines():
            engine.kill()
