"""A programmable engine that runs beside a leader, which adopts it as the model ``fake``."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.metering import live
from tests.cluster.program import Program, eventually, running
from tests.cluster.traffic import Answer, Ask, ask
from tests.ports import free_port


@dataclass(frozen=True, slots=True)
class Stage:
    """A program and the engine behind it."""

    program: Program
    engine: str
    key: str

    def play(self, **script: Any) -> None:
        """From now on the engine behaves so; see `flockpy.engines.fake.script`."""
        assert httpx.post(f"{self.engine}/fake/script", json={"slots": 2, **script}).status_code == 200

    def busy(self) -> int:
        """Requests the engine is at work on."""
        return self._counters()["busy"]

    async def made(self, chunks: int) -> None:
        """Wait until the engine has sent so many chunks since it was told how to behave."""
        what = f"the engine has sent {chunks} chunks"
        await asyncio.to_thread(eventually, lambda: self._counters()["chunks"] >= chunks, what)

    def _counters(self) -> dict[str, int]:
        return httpx.get(f"{self.engine}/fake/counters").json()

    def one(self, path: str = "/v1/chat/completions", **fields: Any) -> Ask:
        text = {"prompt": "two words"} if path == "/v1/completions" else {}
        messages = {"messages": [{"role": "user", "content": "two words"}]}
        return Ask(path, self.key, {"model": "fake", **(text or messages), **fields})

    async def ask(self, **fields: Any) -> Answer:
        return await ask(self.program.port, self.one(**fields))

    async def begin(
        self, stage: str, what: Ask | None = None, **fields: Any
    ) -> "tuple[str, asyncio.Task[Answer]]":
        """Ask (for `what`, or as `one` does), and wait until that request is at `stage`: its id, and what its client
        does meanwhile."""
        before = set(live(self.program))
        asking = asyncio.create_task(ask(self.program.port, what or self.one(**fields)))
        async with asyncio.timeout(30):
            while True:
                now = await asyncio.to_thread(live, self.program)
                for name, request in now.items():
                    if name not in before and request["stage"] == stage:
                        return name, asking
                await asyncio.sleep(0.02)


@contextmanager
def on_stage(folder: Path, config: str, **environ: str) -> Iterator[Stage]:
    """A program with this config.yaml, and this in its environment, that has adopted a fake engine of two slots."""
    port = free_port()
    (folder / "data").mkdir(mode=0o700, parents=True)
    (folder / "data" / "config.yaml").write_text(config)
    script = '{"slots": 2}'
    argv = [sys.executable, "-P", "-m", "flockpy.engines.fake", "--port", str(port), "--script", script]
    engine = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        with running(folder, FLOCK_LLAMACPP_ENDPOINT=url, **environ) as program:
            eventually(lambda: program.model_state("fake") == "serving", "the engine is adopted")
            yield Stage(program, url, program.create_key("ann"))
    finally:
        engine.kill()
        engine.wait()
