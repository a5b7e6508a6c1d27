"""The fake engine: it answers like llama.cpp, and breaks when it is told to."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from flockpy.engines import llama
from flockpy.engines.base import Answering, Load, Loading
from flockpy.engines.fake.script import Script
from flockpy.engines.fake.server import FakeEngine

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello there"}]}
PATH = "/v1/chat/completions"


@asynccontextmanager
async def engine(script: Script) -> AsyncIterator[tuple[FakeEngine, httpx.AsyncClient]]:
    fake = FakeEngine(script, "m", "k")
    server = await fake.listen(0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    headers = {"authorization": "Bearer k"}
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=5) as client:
            yield fake, client
    finally:
        server.close()


async def test_it_answers_like_llama_cpp():
    async with engine(Script(slots=3, context=512)) as (_, client):
        assert (await client.get("/health")).json() == {"status": "ok"}
        props = await client.get("/props")
        assert llama.readiness(props.status_code, props.content) == Answering(3, 512, "m")
        assert llama.load((await client.get("/metrics")).content) == Load(0, 0)
        answer = (await client.post(PATH, json=CHAT)).json()
        assert answer["choices"][0]["message"]["content"] == "Hello from the fake engine."
        assert answer["usage"]["completion_tokens"] == 5
        text = (await client.post("/v1/completions", json={"prompt": "a", "max_tokens": 2})).json()
        assert text["choices"][0] | {"logprobs": 0} == {
            "index": 0,
            "text": "Hello from",
            "logprobs": 0,
            "finish_reason": "length",
        }
        rows = (await client.post("/v1/embeddings", json={"input": ["a", "bb"]})).json()["data"]
        assert [len(row["embedding"]) for row in rows] == [8, 8]


async def test_it_asks_for_its_key():
    async with engine(Script()) as (_, client):
        assert (await client.get("/props", headers={"authorization": "Bearer no"})).status_code == 401
        assert (await client.get("/health", headers={"authorization": ""})).status_code == 200


async def test_a_stream_ends_with_done_and_usage_when_asked():
    async with engine(Script()) as (_, client):
        body = CHAT | {"stream": True, "stream_options": {"include_usage": True}}
        lines = [line for line in (await client.post(PATH, json=body)).text.split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        events = [msgspec.json.decode(line.removeprefix("data: ")) for line in lines[:-1]]
        said = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
        assert said == "Hello from the fake engine."
        assert events[-1]["usage"]["completion_tokens"] == 5


async def test_a_tool_is_called_when_the_script_says_so():
    async with engine(Script(tool_call='{"a":1}')) as (_, client):
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        choice = (await client.post(PATH, json=CHAT | {"tools": tools})).json()["choices"][0]
        assert choice["finish_reason"] == "tool_calls"
        assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


async def test_it_is_busy_until_loaded():
    async with engine(Script(load_s=1)) as (fake, client):
        first = await client.get("/props")
        assert isinstance(llama.readiness(first.status_code, first.content), Loading)
        await asyncio.wait_for(fake.loaded.wait(), 30)
        assert (await client.get("/props")).status_code == 200


async def test_requests_beyond_its_slots_wait():
    script = Script(slots=1, endless=True, chunk_s=0.001)
    async with engine(script) as (_, client):
        bodies = [CHAT | {"max_tokens": 20} for _ in range(3)]
        answers = await asyncio.gather(*(client.post(PATH, json=body) for body in bodies))
        assert [answer.json()["usage"]["completion_tokens"] for answer in answers] == [20, 20, 20]


async def test_a_client_that_leaves_frees_its_slot():
    script = Script(slots=1, endless=True, chunk_s=0.01)
    async with engine(script) as (fake, client):
        body = CHAT | {"stream": True, "max_tokens": 100_000}
        async with client.stream("POST", PATH, json=body) as stream:
            await anext(stream.aiter_bytes())
            assert fake.counters.busy == 1
        async with asyncio.timeout(30):
            while fake.counters.busy:
                await asyncio.sleep(0.001)
        assert fake.counters.cancelled == 1


@pytest.mark.parametrize("fault", ["close", "reset"])
async def test_a_stream_breaks_off_after_so_many_chunks(fault: str):
    script = msgspec.convert({"fault": fault, "chunks": 2, "good_requests": 1}, Script)
    async with engine(script) as (_, client):
        body = CHAT | {"stream": True}
        assert "[DONE]" in (await client.post(PATH, json=body)).text
        got = b""
        with pytest.raises(httpx.TransportError):
            async with client.stream("POST", PATH, json=body) as stream:
                async for part in stream.aiter_bytes():
                    got += part
        if fault == "close":  # after a reset even what was sent may be lost
            assert got.count(b"data: ") == 2


async def test_a_call_comes_in_pieces_when_the_script_says_so():
    arguments = '{"city":"Paris"}'
    async with engine(Script(tool_call=arguments, tool_pieces=3)) as (_, client):
        tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
        lines = (await client.post(PATH, json=CHAT | {"tools": tools, "stream": True})).text.split("\n\n")
        events = [msgspec.json.decode(line[6:]) for line in lines if line.startswith("data: {")]
        deltas = [event["choices"][0]["delta"] for event in events]
        calls = [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta]
        assert calls[0] == {"name": "f", "arguments": ""}
        assert len(calls) == 4
        assert "".join(call["arguments"] for call in calls) == arguments


async def test_a_stream_ends_with_an_error_or_without_its_mark():
    async with engine(Script(fault="event", chunks=2)) as (fake, client):
        said = (await client.post(PATH, json=CHAT | {"stream": True})).text.split("\n\n")
        assert len(said) == 4
        assert said[2].startswith('data: {"error":')
        fake.script = Script(fault="end", chunks=2)
        assert (await client.post(PATH, json=CHAT | {"stream": True})).text.count("data: ") == 2


async def test_a_connection_breaks_before_the_head():
    async with engine(Script(fault="close", chunks=-1)) as (_, client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(PATH, json=CHAT | {"stream": True})


async def test_a_prompt_of_too_many_words_is_refused_with_both_numbers():
    async with engine(Script(context=1)) as (_, client):
        body = CHAT | {"messages": [{"role": "user", "content": "one two three"}]}
        answer = await client.post(PATH, json=body)
        assert answer.status_code == 400
        assert answer.json()["error"]["type"] == "exceed_context_size_error"
        assert (answer.json()["error"]["n_prompt_tokens"], answer.json()["error"]["n_ctx"]) == (3, 1)


async def test_garbage_and_statuses_are_answered_as_told():
    async with engine(Script(fault="garbage")) as (fake, client):
        assert b"not JSON" in (await client.post(PATH, json=CHAT)).content
        fake.script = Script(fault="status", status=418)
        assert (await client.post(PATH, json=CHAT)).status_code == 418


async def test_a_hung_engine_accepts_and_never_answers_again():
    async with engine(Script(fault="hang")) as (_, client):
        for request in (client.post(PATH, json=CHAT, timeout=0.2), client.get("/health", timeout=0.2)):
            with pytest.raises(httpx.ReadTimeout):
                await request


async def test_the_script_can_be_changed_while_it_runs():
    async with engine(Script()) as (_, client):
        await client.put("/fake/script", content=msgspec.json.encode(Script(text="Other.")))
        answer = (await client.post(PATH, json=CHAT)).json()
        assert answer["choices"][0]["message"]["content"] == "Other."


async def test_the_process_crashes_when_told(unused_tcp_port: int):
    script = msgspec.json.encode(Script(fault="crash", good_requests=1)).decode()
    argv = [sys.executable, "-m", "flockpy.engines.fake", "--port", str(unused_tcp_port)]
    argv += ["--script", script]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "FLOCK_FAKE_KEY": "k"})
    with process:
        assert process.stdout
        url = process.stdout.readline().decode().split()[-1]
        async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer k"}) as client:
            assert (await client.post(PATH, json=CHAT)).status_code == 200
            with pytest.raises(httpx.TransportError):
                await client.post(PATH, json=CHAT)
        assert process.wait(30) == 70
