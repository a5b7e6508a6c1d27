"""The real engines, started with what their drivers say and asked what an agent and a gateway ask."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import msgspec
import pytest

from controlplane.protocols.rerank import RerankSurface
from flockpy.engines import llama
from flockpy.engines.base import Answering, EngineDriver, Listen, Load, Machine
from flockpy.engines.embedded import EmbeddedDriver
from flockpy.engines.llamacpp import LlamaCppDriver
from flockpy.gguf import read_metadata
from flockpy.paths import demo_model, package_root
from flockpy.placement import EngineOptions, PlacementSpec
from tests.tiny_models import model_spec, tiny_model

MACHINE = Machine(
    os="linux",
    arch="x86_64",
    physical_cores=2,
    python=sys.executable,
    programs={"llama-server": shutil.which("llama-server") or ""},
)
KEY = "engine-key"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(package_root())}
ENGINES = [
    pytest.param(EmbeddedDriver(), id="embedded"),
    pytest.param(LlamaCppDriver(), id="llamacpp", marks=pytest.mark.needs_program("llama-server")),
]


@asynccontextmanager
async def running(
    driver: EngineDriver, path: Path, port: int, log: Path
) -> AsyncIterator[tuple[subprocess.Popen[bytes], httpx.AsyncClient]]:
    model, meta = model_spec(path, "org/tiny"), read_metadata(path)
    settled = driver.settle(model, meta, EngineOptions(), None)
    launch = driver.command(PlacementSpec("p_1", model, options=settled), meta, Listen(port, KEY), MACHINE)
    with log.open("wb") as file:
        process = subprocess.Popen(
            launch.argv, env={**ENVIRONMENT, **launch.env}, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
        try:
            async with asyncio.timeout(60):
                await ready(driver, process, client, log)
            yield process, client
        finally:
            process.kill()
            process.wait()


async def ready(
    driver: EngineDriver, process: subprocess.Popen[bytes], client: httpx.AsyncClient, log: Path
) -> None:
    while True:
        assert process.poll() is None, log.read_text()
        try:
            answer = await client.get(driver.ready_path)
        except httpx.TransportError:
            await asyncio.sleep(0.02)
            continue
        found = driver.readiness(answer.status_code, answer.content)
        if isinstance(found, Answering):
            assert (found.slots, found.model) == (2, "org/tiny")
            return
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("driver", ENGINES)
async def test_a_real_engine_serves_and_stops_when_told(
    driver: EngineDriver, unused_tcp_port: int, tmp_path: Path
):
    started = running(driver, tiny_model(mode="text"), unused_tcp_port, tmp_path / "log")
    async with started as (process, client):
        body = {"messages": [{"role": "user", "content": "hi"}]}
        answer = (await client.post("/v1/chat/completions", json=body)).json()
        assert answer["choices"][0]["message"]["content"].startswith("Hello! The quick brown fox")
        assert driver.load((await client.get(driver.load_path)).content) == Load(0, 0)
        shut = await client.get(driver.ready_path, headers={"authorization": "Bearer wrong"})
        assert shut.status_code == 401
        foreign = await client.get(driver.health_path, headers={"origin": "http://elsewhere.example"})
        assert foreign.headers.get("access-control-allow-origin") != "http://elsewhere.example"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("driver", ENGINES)
async def test_a_streaming_engine_ends_its_stream_when_it_is_told_to_stop(
    driver: EngineDriver, unused_tcp_port: int, tmp_path: Path
):
    started = running(driver, tiny_model(mode="loop"), unused_tcp_port, tmp_path / "log")
    async with started as (process, client):
        body = {"messages": [{"role": "user", "content": "hi"}], "stream": True, "max_tokens": 100_000}
        async with client.stream("POST", "/v1/chat/completions", json=body) as stream:
            parts = stream.aiter_bytes()
            await anext(parts)
            process.send_signal(signal.SIGTERM)
            with suppress(httpx.TransportError):
                async for _ in parts:
                    pass
        # Now and then, on a busy machine, llama-server hangs on its way out. Its agent kills what does not go.


@pytest.mark.parametrize("driver", ENGINES)
async def test_an_embedding_model_embeds(driver: EngineDriver, unused_tcp_port: int, tmp_path: Path):
    path = tiny_model(mode="text", pooling=1)
    async with running(driver, path, unused_tcp_port, tmp_path / "log") as (_, client):
        text = "hello the a of " * 300  # more tokens than a default batch
        rows = (await client.post("/v1/embeddings", json={"input": ["hi", text]})).json()["data"]
        assert [len(row["embedding"]) for row in rows] == [128, 128]
        assert rows[0]["embedding"] != rows[1]["embedding"]


@pytest.mark.parametrize("driver", ENGINES)
async def test_a_ranking_model_ranks(driver: EngineDriver, unused_tcp_port: int, tmp_path: Path):
    surface = RerankSurface()
    asked = {"query": "hi", "documents": ["a dog", {"text": "hello there you"}, ""], "top_n": 2}
    inbound = surface.parse(msgspec.json.encode(asked))
    path = tiny_model(mode="text", pooling=4)
    async with running(driver, path, unused_tcp_port, tmp_path / "log") as (_, client):
        body = surface.engine_body(inbound, b"", "org/tiny")
        answer = (await client.post("/v1/rerank", content=body)).content
    ranked = msgspec.json.decode(surface.render(inbound, answer, model="tiny", request_id="req_1"))
    scores = [result["relevance_score"] for result in ranked["results"]]
    assert len(scores) == 2
    assert scores[0] > scores[1]
    usage = surface.usage(answer)
    assert usage
    assert ranked["usage"]["prompt_tokens"] == usage.prompt_tokens > 0


@pytest.mark.parametrize("driver", ENGINES)
async def test_a_tool_is_called(driver: EngineDriver, unused_tcp_port: int, tmp_path: Path):
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
    path = tiny_model(mode="tool")
    async with running(driver, path, unused_tcp_port, tmp_path / "log") as (_, client):
        body = {"messages": [{"role": "user", "content": "hi"}], "tools": [tool]}
        choice = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["tool_calls"][0]["function"] == {
            "name": "get_weather",
            "arguments": '{"city": "Paris"}',
        }


async def test_the_self_test_model_says_what_it_is(unused_tcp_port: int, tmp_path: Path):
    async with running(EmbeddedDriver(), demo_model(), unused_tcp_port, tmp_path / "log") as (_, client):
        body = {"messages": [{"role": "user", "content": "hi"}]}
        text = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]["message"][
            "content"
        ]
        assert "self-test" in text
        assert "flockpy model add" in text


async def test_the_embedded_host_says_why_it_cannot_load(tmp_path: Path):
    garbage = tmp_path / "garbage.gguf"
    garbage.write_bytes(b"GGUF" + bytes(1000))
    model = msgspec.structs.replace(model_spec(demo_model()), path=str(garbage))
    launch = EmbeddedDriver().command(PlacementSpec("p_1", model), None, Listen(0, KEY), MACHINE)
    done = subprocess.run(
        launch.argv,
        env={**ENVIRONMENT, **launch.env},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "error: " in done.stderr
    assert llama.PROMPT_CACHE_MIB < 8192
