"""A peer that speaks raw bytes, a client to test, and every test on both event loops the program may run on."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from flockpy.http import Client, Exchange, Origin
from tests.unit.flockpy.http.peer import Peer, turns


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


class TidyClient(Client):
    """Remembers its exchanges, so that a test may leave them as they are."""

    def __init__(self, connect_s: float, silence_s: float, idle_s: float) -> None:
        super().__init__(connect_s=connect_s, silence_s=silence_s, idle_s=idle_s)
        self.started: list[Exchange] = []

    async def start(self, origin: Origin, head: bytes, body: bytes) -> Exchange:
        exchange = await super().start(origin, head, body)
        self.started.append(exchange)
        return exchange


MakeClient = Callable[..., Client]


@pytest.fixture
async def make_client() -> AsyncIterator[MakeClient]:
    made: list[TidyClient] = []

    def make(connect_s: float = 5.0, silence_s: float = 5.0, idle_s: float = 10.0) -> Client:
        made.append(TidyClient(connect_s, silence_s, idle_s))
        return made[-1]

    yield make
    for client in made:
        for exchange in client.started:
            exchange.abort()
        await client.close()
    await turns()


@pytest.fixture
async def client(make_client: MakeClient) -> Client:
    return make_client()
