"""Usage records at rest, and how far the journal has been drained into them."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlmodel import col, func, insert, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database
from controlplane.tenants import accounts
from controlplane.tenants.accounts import Drained, Position
from controlplane.tenants.model import UsageRecord

_DRAINED = "usage.drained"
_FIELDS = UsageRecord.__struct_fields__


async def load_drained(database: Database) -> Drained:
    """Position and totals as of the last append."""
    async with database.read() as session:
        return await _drained(session)


async def append_usage(
    database: Database, records: Sequence[UsageRecord], position: Position | None
) -> Drained:
    """Add what is not there yet (by request id) and move the totals along, with the position if one is given.

    All of it happens or nothing. Raises DatabaseTrouble when the database is locked, full or damaged.
    """
    async with database.write() as session:
        before = await _drained(session)
        fresh = {record.request_id: record for record in reversed(records)}
        known = await session.exec(
            select(tables.Usage.request_id).where(col(tables.Usage.request_id).in_(list(fresh)))
        )
        for request_id in known:
            del fresh[request_id]
        totals = before.totals
        rows: list[dict[str, Any]] = []
        for record in reversed(fresh.values()):
            totals = accounts.add(totals, record)
            rows.append(msgspec.structs.asdict(record))
        if rows:
            await session.exec(insert(tables.Usage), params=rows)
        after = Drained(position or before.position, totals)
        await session.merge(tables.Meta(key=_DRAINED, value=msgspec.json.encode(after).decode()))
        return after


async def tokens_since(database: Database, since: float) -> dict[str, int]:
    """Prompt + completion tokens of each key id, of requests admitted at or after `since`."""
    async with database.read() as session:
        total = func.sum(tables.Usage.prompt_tokens + tables.Usage.completion_tokens)
        rows = await session.exec(
            select(tables.Usage.key_id, total)
            .where(col(tables.Usage.time) >= since)
            .group_by(col(tables.Usage.key_id))
        )
        return {key_id: int(tokens) for key_id, tokens in rows}


async def _drained(session: AsyncSession) -> Drained:
    row = await session.get(tables.Meta, _DRAINED)
    return Drained() if row is None else msgspec.json.decode(row.value, type=Drained)


def _record(row: tables.Usage) -> UsageRecord:
    return msgspec.convert({name: getattr(row, name) for name in _FIELDS}, UsageRecord)
