"""A peer that speaks raw bytes, a client to test, and every test on both event loops the program may run on."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from flockpy.http import Client
from tests.unit.flockpy.http.peer import Peer


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client(connect_s=5.0, silence_s=5.0, idle_s=10.0)
    yield client
    await client.close()
    await asyncio.sleep(0)
