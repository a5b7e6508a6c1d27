"""Values that tests of the leader are made of."""

from typing import Any

import msgspec
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.tenants.meter import Ticket
from controlplane.tenants.model import Key, UsageRecord

NOON = 20_000 * 86_400 + 43_200.0
"""Midday of some UTC day, in seconds since the epoch."""


async def impatient(session: AsyncSession) -> None:
    """For `Database.write`: from here on a lock is waited for no longer than 50 ms."""
    await (await session.connection()).exec_driver_sql("PRAGMA busy_timeout = 50")


class HandClock:
    """A clock that tests turn by hand."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def a_key(**changes: Any) -> Key:
    fields: dict[str, Any] = {
        "id": "k_1",
        "name": "hadi",
        "scope": "user",
        "prefix": "sk-orc-abcd",
        "hash": b"h",
        "created_at": NOON,
    }
    return Key(**(fields | changes))


def a_ticket(request_id: str = "req_1", **changes: Any) -> Ticket:
    ticket = Ticket(
        request_id=request_id,
        time=NOON,
        key=None,
        model="m",
        surface="chat",
        stream=True,
        prompt_bytes=300,
        max_tokens=None,
        context_window=0,
    )
    return msgspec.structs.replace(ticket, **changes)


def a_record(request_id: str = "req_1", **changes: Any) -> UsageRecord:
    record = UsageRecord(
        request_id=request_id,
        time=NOON,
        key_id="k_1",
        user="hadi",
        model="m",
        node_id="n_1",
        surface="chat",
        stream=True,
        prompt_tokens=10,
        completion_tokens=5,
        cached_tokens=2,
        tokens_source="engine",
        queue_ms=0.5,
        ttft_ms=20.25,
        duration_ms=100.125,
        outcome="ok",
        status=200,
    )
    return msgspec.structs.replace(record, **changes)
