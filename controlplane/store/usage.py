"""Usage records at rest, and how far the journal has been drained into them."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database
from controlplane.tenants import accounts
from controlplane.tenants.accounts import Drained, Position
from controlplane.tenants.model import UsageRecord

_DRAINED = "usage.drained"
_FIELDS = UsageRecord.__struct_fields__
# Written out, since every request comes by here and the statement compiler would cost as much as SQLite does.
_INSERT = f"INSERT INTO usage ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608


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
    try:
        return await _append(database, records, position)
    except (
        IntegrityError
    ):  # some are there already: an older process was cut off, or the input repeats itself
        fresh = {record.request_id: record for record in reversed(records)}
        async with database.read() as session:
            ids = col(tables.Usage.request_id)
            for known in await session.exec(select(ids).where(ids.in_(list(fresh)))):
                del fresh[known]
        return await _append(database, list(reversed(fresh.values())), position)


async def _append(database: Database, records: Sequence[UsageRecord], position: Position | None) -> Drained:
    async with database.write() as session:
        before = await _drained(session)
        totals = before.totals
        for record in records:
            totals = accounts.add(totals, record)
        if records:
            connection = await session.connection()
            await connection.exec_driver_sql(_INSERT, [msgspec.structs.astuple(record) for record in records])
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
