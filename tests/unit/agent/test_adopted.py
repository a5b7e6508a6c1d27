"""An engine that is not ours, on virtual time and in a world of data."""

import asyncio

import pytest

from agent.adopted import AdoptedEngine, placement_id
from agent.http import Answer
from agent.process import ProcessRef
from flockpy.engines.llamacpp import LlamaCppDriver
from flockpy.placement import Endpoint, Failed, Ready
from tests import virtual_time
from tests.unit.agent.world import Process, World

URL = "http://127.0.0.1:8089"
THEIRS = Answer(
    200,
    b'{"default_generation_settings":{"n_ctx":4096},"total_slots":2,"model_path":"models/qwen.gguf",'
    b'"chat_template":"{{ tools }}"}',
)


def test_it_is_reported_while_it_is_there_and_its_absence_once_it_was():
    async def main() -> None:
        world = World(answer=THEIRS)
        changes: list[None] = []
        engine = AdoptedEngine(URL + "/", LlamaCppDriver(), world, lambda: changes.append(None))
        watching = asyncio.ensure_future(engine.run())
        await asyncio.sleep(60)
        assert engine.reports() == ()

        theirs = Process(ProcessRef(1, ""), 8089)
        world.processes.append(theirs)
        await asyncio.sleep(6)
        (report,) = engine.reports()
        assert report.status == Ready(Endpoint(URL), 2, 4096)
        assert (report.adopted, report.pid, report.model_id) == (True, None, "qwen")
        assert report.capabilities == ("chat", "completion", "tools")
        assert report.id == placement_id(URL)

        theirs.end(0)
        await asyncio.sleep(6)
        (report,) = engine.reports()
        assert isinstance(report.status, Failed)
        assert report.status.retry_in_s is not None
        world.processes.append(Process(ProcessRef(2, ""), 8089))
        await asyncio.sleep(6)
        assert isinstance(engine.reports()[0].status, Ready)
        assert theirs.signals == []
        assert changes
        watching.cancel()

    virtual_time.run(main)


@pytest.mark.parametrize("answer", [Answer(401, b""), Answer(200, b"<html>")])
def test_something_else_at_its_address_is_not_adopted(answer: Answer):
    async def main() -> None:
        world = World(answer=answer, processes=[Process(ProcessRef(1, ""), 8089)])
        engine = AdoptedEngine(URL, LlamaCppDriver(), world, lambda: None)
        watching = asyncio.ensure_future(engine.run())
        await asyncio.sleep(60)
        assert engine.reports() == ()
        watching.cancel()

    virtual_time.run(main)
