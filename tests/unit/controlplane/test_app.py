"""The leader as it is put together: what the rooms promise one another holds in the whole."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from controlplane.app import serve
from controlplane.gateway.connection import Connection
from controlplane.tenants.ledger import Ledger
from flockpy.clock import SystemClock
from flockpy.http import Proxies
from flockpy.settings import load, prepare_data_dir
from tests.ports import free_port


@pytest.fixture
def turn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the journal and the connections did, in order."""
    done: list[str] = []
    write_records, write_answer = Ledger.flush, Connection.flush

    def records(ledger: Ledger) -> None:
        done.append("records")
        write_records(ledger)

    def answer(connection: Connection) -> None:
        done.append("answer")
        write_answer(connection)

    monkeypatch.setattr(Ledger, "flush", records)
    monkeypatch.setattr(Connection, "flush", answer)
    return done


@pytest.fixture
async def leader(turn: list[str], tmp_path: Path) -> AsyncIterator[str]:
    """Its address, once it takes connections."""
    port = free_port()
    settings = load({"HOME": str(tmp_path), "FLOCK_LISTEN": f"127.0.0.1:{port}"})
    prepare_data_dir(settings.data)
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve(settings, SystemClock(), secrets.token_bytes, proxies=Proxies({}), version="0", stop=stop)
    )
    url = f"http://127.0.0.1:{port}"
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while not serving.done():
            try:
                await client.get(f"{url}/readyz")
                break
            except httpx.TransportError:
                await asyncio.sleep(0.02)
    yield url
    stop.set()
    await serving


async def test_the_journal_is_written_before_the_answers_of_a_turn(leader: str, turn: list[str]):
    """Here it has nothing to write, so that nobody else asks it to."""
    async with httpx.AsyncClient() as client:
        turn.clear()
        assert (await client.get(f"{leader}/v1/models")).status_code == 401
    assert turn == ["records", "answer"]
