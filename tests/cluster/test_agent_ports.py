"""Ports: somebody may take the one that was free a moment ago."""

import asyncio
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.http import HttpClient
from agent.launch import Launcher
from agent.process import SystemProcesses
from agent.rack import Rack
from flockpy.clock import SystemClock
from flockpy.engines.base import EngineDriver, Machine
from flockpy.engines.embedded import EmbeddedDriver
from flockpy.engines.fake import FakeDriver
from flockpy.engines.fake.script import Script
from flockpy.engines.fake.server import FakeEngine
from flockpy.node import EngineInfo
from flockpy.paths import DataDir, demo_model
from flockpy.placement import ModelSpec, PlacementSpec, Ready
from flockpy.wire import DesiredState
from tests.tiny_models import model_spec


class TakenFirst(SystemProcesses):
    """The first port it finds has been taken since."""

    def __init__(self, taken: int) -> None:
        super().__init__()
        self.ports: Iterator[int] = iter([taken])

    def free_port(self) -> int:
        return next(self.ports, None) or super().free_port()


@pytest.mark.parametrize("driver", [EmbeddedDriver(), FakeDriver()], ids=lambda driver: driver.name)
async def test_an_engine_whose_port_is_taken_gets_another(driver: EngineDriver, tmp_path: Path):
    stranger = await FakeEngine(Script(), "stranger", "another key").listen(0)
    taken = stranger.sockets[0].getsockname()[1]
    script = tmp_path / "model.fake.json"
    script.write_text("{}")
    fake = ModelSpec("m", str(script), 1, 4096)
    processes, http = TakenFirst(taken), HttpClient()
    launcher = Launcher(
        data=DataDir(tmp_path),
        machine=Machine(sys.platform, "x86_64", 2, sys.executable),
        drivers=(driver,),
        infos={driver.name: EngineInfo(driver.name, True)},
        preferred="",
        processes=processes,
        entropy=secrets.token_bytes,
        free_memory=lambda: 2**30,
    )
    rack = Rack(launcher, http, SystemClock(), lambda: None)
    owning = asyncio.ensure_future(rack.run())
    model = fake if driver.name == "fake" else model_spec(demo_model())
    rack.apply(DesiredState("e", 1, (PlacementSpec("p_1", model),)))
    async with asyncio.timeout(30):
        while not rack.reports() or not isinstance(status := rack.reports()[0].status, Ready):
            await asyncio.sleep(0.02)
    assert not status.endpoint.url.endswith(f":{taken}")
    rack.stop()
    async with asyncio.timeout(30):
        await owning
    await http.close()
    stranger.close()
