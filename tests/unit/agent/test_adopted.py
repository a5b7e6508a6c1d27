"""An engine that is not ours, on virtual time and in a world of data."""

import asyncio
from collections.abc import Mapping

import pytest

from agent.adopted import AdoptedEngine, Known, configured, placement_id
from agent.http import Answer
from agent.process import ProcessRef
from flockpy.config import Engine
from flockpy.placement import Endpoint, Failed, Ready
from tests import virtual_time
from tests.unit.agent.world import Process, World, encoded

URL = "http://127.0.0.1:8089"
THEIRS = Answer(
    200,
    b'{"default_generation_settings":{"n_ctx":4096},"total_slots":2,"model_path":"models/qwen.gguf",'
    b'"chat_template":"{{ tools }}"}',
)


def llama(address: str) -> Known:
    (known,) = configured(Engine(llamacpp_endpoint=address))
    return known


def test_it_is_reported_while_it_is_there_and_its_absence_once_it_was():
    async def main() -> None:
        world = World(answer=THEIRS)
        changes: list[None] = []
        engine = AdoptedEngine(llama(URL + "/"), world, lambda: changes.append(None))
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
        assert report.id == placement_id(URL, "qwen")

        theirs.end(0)
        await asyncio.sleep(6)
        (report,) = engine.reports()
        assert isinstance(report.status, Failed)
        assert report.status.retry_in_s is not None
        assert "engine.llamacpp_endpoint" in report.status.reason
        assert "start it: llama-server -m MODEL.gguf" in report.status.reason
        await asyncio.sleep(10)
        (report,) = engine.reports()
        assert isinstance(report.status, Failed)
        assert report.status.retry_in_s is None, "requests wait for it no longer"
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
        engine = AdoptedEngine(llama(URL), world, lambda: None)
        watching = asyncio.ensure_future(engine.run())
        await asyncio.sleep(60)
        assert engine.reports() == ()
        watching.cancel()

    virtual_time.run(main)


class TwoModels:
    """An `Http` of an engine with as many models as are in `names`; it wants a key."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.asked: list[str] = []

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes = b"", timeout_s: float
    ) -> Answer:
        self.asked.append(f"{method} {url}")
        if headers.get("authorization") != "Bearer sesame":
            return Answer(401, b"")
        if url.endswith("/openapi.json"):
            return Answer(200, b'{"paths":{"/v1/chat/completions":{}}}')
        models = [{"id": name, "owned_by": "vllm", "max_model_len": 1024} for name in self.names]
        return encoded({"data": models})


def test_each_model_is_a_placement_of_its_own_for_as_long_as_it_is_there():
    async def main() -> None:
        http = TwoModels("org/a", "org/b")
        (known,) = configured(Engine(vllm_endpoint="http://:sesame@box:8000/v1"))
        engine = AdoptedEngine(known, http, lambda: None)
        watching = asyncio.ensure_future(engine.run())
        await asyncio.sleep(1)
        first, second = engine.reports()
        assert first.status == Ready(Endpoint("http://box:8000", "sesame"), 128, 1024)
        assert (first.model_id, first.engine, first.engine_model) == ("org/a", "vllm", "org/a")
        assert first.id != second.id
        assert http.asked[0] == "GET http://box:8000/v1/models"
        http.names = ("org/b", "org/c")
        await asyncio.sleep(6)
        assert [report.model_id for report in engine.reports()] == ["org/b", "org/c"]
        assert engine.reports()[0].id == second.id
        watching.cancel()

    virtual_time.run(main)


def test_an_engine_that_wants_another_key_is_not_adopted():
    async def main() -> None:
        (known,) = configured(Engine(vllm_endpoint="http://box:8000", vllm_api_key="wrong"))
        engine = AdoptedEngine(known, TwoModels("a"), lambda: None)
        watching = asyncio.ensure_future(engine.run())
        await asyncio.sleep(60)
        assert engine.reports() == ()
        watching.cancel()

    virtual_time.run(main)


def test_only_what_the_configuration_names_is_adopted():
    assert configured(Engine()) == []
    everything = Engine(
        llamacpp_endpoint="http://a:1",
        ollama_endpoint="http://b:1",
        vllm_endpoint="http://c:1",
        vllm_api_key="sesame",
        mlx_endpoint="http://d:1",
        external_endpoints="http://e:1/v1 http://:key@f:1",
    )
    assert [(it.adopter.name, it.endpoint.url, it.endpoint.key) for it in configured(everything)] == [
        ("llamacpp", "http://a:1", ""),
        ("ollama", "http://b:1", ""),
        ("vllm", "http://c:1", "sesame"),
        ("mlx", "http://d:1", ""),
        ("openai", "http://e:1", ""),
        ("openai", "http://f:1", "key"),
    ]
