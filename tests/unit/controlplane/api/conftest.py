"""A whole admin surface on a real database, called without a network."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import msgspec
import pytest

from controlplane.api.app import build_api
from controlplane.api.live import LiveRequest
from controlplane.api.services import Services
from controlplane.cluster.join import JoinTokens
from controlplane.cluster.operations import Operations
from controlplane.cluster.store import Cluster
from controlplane.egress.troubles import Troubles
from controlplane.gateway.asked import Asked
from controlplane.gateway.listener import Listener
from controlplane.routing.table import build_table
from controlplane.scheduler.loop import Scheduler
from controlplane.store.cluster import ClusterTables
from controlplane.store.db import open_database
from controlplane.store.meta import MetaTable
from controlplane.tenants.audit import Audit
from controlplane.tenants.keyring import Keyring
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.model import AuditEntry
from controlplane.tenants.usage import Usage
from flockpy.clock import SystemClock
from flockpy.config import Config
from flockpy.errors import FlockError
from flockpy.http import Outbox
from flockpy.paths import DataDir
from flockpy.settings import Settings
from flockpy.wire import PROTOCOL, Register
from tests.unit.controlplane.builders import LoopClock, counting_entropy, info, report


class FakeRequests:
    """Requests that a test puts there."""

    def __init__(self) -> None:
        self.known: dict[str, LiveRequest] = {}

    def list(self) -> Sequence[LiveRequest]:
        return tuple(r for r in self.known.values() if r.outcome is None)

    def get(self, request_id: str) -> LiveRequest | None:
        return self.known.get(request_id)

    def cancel(self, request_id: str, by: str) -> bool:
        request = self.known[request_id]
        if request.outcome is not None:
            return False
        self.known[request_id] = msgspec.structs.replace(request, stage="cancelled", outcome="cancelled")
        return True


@dataclass
class World:
    services: Services
    client: httpx.AsyncClient
    admin: str
    requests: FakeRequests
    idle: dict[str, float | None] = field(default_factory=dict)

    def as_admin(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.admin}"}

    async def get(self, path: str, **query: str | int) -> httpx.Response:
        return await self.client.get(f"/admin/v1{path}", params=query, headers=self.as_admin())

    async def post(self, path: str, body: object = None) -> httpx.Response:
        return await self.client.post(f"/admin/v1{path}", json=body, headers=self.as_admin())

    async def delete(self, path: str) -> httpx.Response:
        return await self.client.delete(f"/admin/v1{path}", headers=self.as_admin())

    async def trail(self) -> list[AuditEntry]:
        """What the audit trail says, the oldest first."""
        entries, _ = await self.services.audit.recent(100)
        return entries[::-1]

    async def join_as_leader(self) -> str:
        """The leader's own node, registered and heard; answers its id."""
        data = self.services.settings.data
        self.services.join_tokens.mint_local(data)
        message = Register(data.join_token.read_text("utf-8"), PROTOCOL, info())
        answer = await self.client.post("/admin/v1/nodes/register", content=msgspec.json.encode(message))
        assert answer.status_code == 200, answer.text
        headers = {"authorization": f"Bearer {answer.json()['key']}"}
        body = msgspec.json.encode(report(0))
        await self.client.post("/admin/v1/nodes/heartbeat", content=body, headers=headers)
        return answer.json()["node_id"]

    def schedule(self) -> None:
        """Let the scheduler plan once."""
        Scheduler(self.services.cluster, self.services.config, lambda: self.idle).step()


@pytest.fixture
def config() -> Config:
    """What the world runs with; a test module may override it."""
    return Config()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database on the newest schema, to be copied: making one takes longer than most tests here."""
    data = DataDir(tmp_path_factory.mktemp("empty"))

    async def make() -> None:
        await (await open_database(data.database, data.backups, SystemClock())).close()

    asyncio.run(make())
    return data.database


@pytest.fixture
async def world(tmp_path: Path, config: Config, empty_database: Path) -> AsyncIterator[World]:
    clock, entropy, data = LoopClock(), counting_entropy(), DataDir(tmp_path)
    shutil.copy(empty_database, data.database)
    database = await open_database(data.database, data.backups, clock)
    keyring = Keyring(database, clock, entropy)
    await keyring.load()
    _, admin = await keyring.create("root", "admin")
    cluster = await Cluster.open(ClusterTables(database), clock, entropy)
    ledger = Ledger(database, data.journal)
    await ledger.recover()
    requests = FakeRequests()
    services = Services(
        settings=Settings(config, data, data.config, {"listen": "default"}),
        cluster=cluster,
        operations=Operations(cluster),
        keyring=keyring,
        join_tokens=await JoinTokens.open(MetaTable(database), clock, entropy),
        audit=Audit(database, clock),
        ledger=ledger,
        usage=Usage(database, clock),
        requests=requests,
        vendors=(),
        troubles=Troubles(clock),
        table=lambda: build_table(cluster.state, ""),
        clock=clock,
        entropy=entropy,
        version="0.1.0",
        started_at=clock.wall(),
        store_trouble=database.trouble,
        metrics=lambda: b"# HELP flock_up\n",
    )
    async with a_client(services) as client:
        yield World(services, client, admin, requests)
    await ledger.stop()
    await database.close()


@pytest.fixture
async def url(world: World, unused_tcp_port: int) -> AsyncIterator[str]:
    """The same surface over a real connection."""
    listener = Listener(
        build_api(world.services), NoPlane(), Config().limits, Outbox(before=None), SystemClock()
    )
    await listener.open("127.0.0.1", unused_tcp_port)
    yield f"http://127.0.0.1:{unused_tcp_port}"
    await listener.close()


class NoPlane:
    """The admin surface alone."""

    def serves(self, path: bytes) -> bool:
        return False

    def accept(self, asked: Asked) -> None:
        raise AssertionError(asked.path)

    def start(self, asked: Asked) -> None:
        raise AssertionError(asked.path)

    def refuse(self, asked: Asked, error: FlockError) -> None:
        raise AssertionError(asked.path)


def a_client(services: Services, address: str = "127.0.0.1", base: str = "http://localhost:8080"):
    """A client that the surface sees coming from `address`."""
    app = httpx.ASGITransport(build_api(services), client=(address, 50000))  # pyright: ignore[reportArgumentType]
    return httpx.AsyncClient(transport=app, base_url=base)


def with_config(world: World, config: Config) -> Services:
    """The same services under another configuration."""
    return replace(world.services, settings=replace(world.services.settings, config=config))
