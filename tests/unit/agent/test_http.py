"""Small requests over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent.http import HttpClient, NoAnswer
from flockpy.engines.fake.script import Script
from flockpy.engines.fake.server import FakeEngine


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient()
    yield made
    await made.close()


@pytest.fixture
async def engine() -> AsyncIterator[tuple[FakeEngine, str]]:
    fake = FakeEngine(Script(text="hello"), "m", "key")
    server = await fake.listen(0)
    yield fake, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


async def test_questions_are_answered_again_and_again(client: HttpClient, engine: tuple[FakeEngine, str]):
    headers = {"authorization": "Bearer key"}
    for _ in range(3):
        answer = await client.request("GET", engine[1] + "/props?x=1", headers=headers, timeout_s=5)
        assert answer.status == 200
    body = b'{"messages":[]}'
    answer = await client.request(
        "POST", engine[1] + "/v1/chat/completions", headers=headers, body=body, timeout_s=5
    )
    assert b"hello" in answer.body


async def test_a_refused_connection_is_no_answer(client: HttpClient, unused_tcp_port: int):
    with pytest.raises(NoAnswer, match="no connection"):
        await client.request("GET", f"http://127.0.0.1:{unused_tcp_port}/", headers={}, timeout_s=5)


async def test_silence_is_no_answer(client: HttpClient, engine: tuple[FakeEngine, str]):
    engine[0].hung = True
    with pytest.raises(NoAnswer, match=r"did not answer within 0\.05 s"):
        await client.request("GET", engine[1] + "/health", headers={}, timeout_s=0.05)


async def test_what_is_no_http_is_no_answer(client: HttpClient):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    with pytest.raises(NoAnswer):
        await client.request("GET", url, headers={}, timeout_s=5)
    server.close()
