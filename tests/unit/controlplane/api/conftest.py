"""A whole admin surface in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import httpx
import pytest

from controlplane.api.app import build_api
from controlplane.api.services import Services
from controlplane.cluster.join import JoinTokens
from controlplane.cluster.store import Cluster
from controlplane.tenants.model import Key, Scope
from flockpy.config import Config
from flockpy.errors import Unauthenticated
from flockpy.ids import new_id
from flockpy.security import hash_key, key_prefix, new_key
from tests.unit.controlplane.builders import LoopClock, MemoryMeta, MemoryRepo, counting_entropy


class MemoryKeyring:
    def __init__(self, entropy, clock) -> None:
        self.entropy, self.clock, self.keys = entropy, clock, dict[bytes, Key]()

    def authenticate(self, presented: str) -> Key:
        key = self.keys.get(hash_key(presented))
        if key is None or key.revoked_at is not None:
            raise Unauthenticated("no such key")
        return key

    def list(self) -> tuple[Key, ...]:
        return tuple(self.keys.values())

    async def create(self, name: str, scope: Scope, **rest) -> tuple[Key, str]:
        text = new_key(self.entropy)
        key = Key(
            new_id("k", self.entropy),
            name,
            scope,
            key_prefix(text),
            hash_key(text),
            self.clock.wall(),
            **rest,
        )
        self.keys[key.hash] = key
        return key, text

    async def revoke(self, key_id: str) -> Key:
        key = next(k for k in self.keys.values() if k.id == key_id)
        self.keys[key.hash] = key = replace(key, revoked_at=self.clock.wall())
        return key


class MemoryTrail:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str]] = []

    async def record(self, actor: str, action: str, target: str, detail: str) -> None:
        self.entries.append((actor, action, target, detail))


@dataclass
class World:
    services: Services
    client: httpx.AsyncClient
    admin: str
    trail: MemoryTrail
    headers: dict[str, str] = field(default_factory=dict)

    def as_admin(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.admin}"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock, entropy = LoopClock(), counting_entropy()
    keyring, trail = MemoryKeyring(entropy, clock), MemoryTrail()
    _, admin = await keyring.create("root", "admin")
    services = Services(
        config=Config(),
        cluster=await Cluster.open(MemoryRepo(), clock, entropy),
        keyring=keyring,
        join_tokens=await JoinTokens.open(MemoryMeta(), clock, entropy),
        audit=trail,
        clock=clock,
        entropy=entropy,
        version="0.1.0",
        started_at=clock.wall(),
        ready=lambda: None,
        metrics=lambda: b"",
    )
    app = httpx.ASGITransport(build_api(services), client=("127.0.0.1", 50000))  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=app, base_url="http://localhost:8080") as client:
        yield World(services, client, admin, trail)
