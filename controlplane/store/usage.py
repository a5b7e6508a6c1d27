"""Usage records at rest, and how far the journal has been drained into them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database
from controlplane.tenants import accounts
from controlplane.tenants.accounts import Drained, Position
from controlplane.tenants.model import UsageRecord

_DRAINED = "usage.drained"
_PAGE = 500
_FIELDS = UsageRecord.__struct_fields__
_COLUMNS: list[Any] = [getattr(tables.Usage, name) for name in ("seq", *_FIELDS)]
_seq = _COLUMNS[0]
# Written out, since every request comes by here and the statement compiler would cost as much as SQLite does.
_INSERT = f"INSERT INTO usage ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608

Numbered = tuple[int, UsageRecord]
"""A record and its number in the order in which the table got them."""


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
        for known in await known_usage(database, list(fresh)):
            del fresh[known]
        return await _append(database, list(reversed(fresh.values())), position)


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


async def known_usage(database: Database, request_ids: Sequence[str]) -> dict[str, UsageRecord]:
    """The records of those of `request_ids` (some thousands at most) that have one."""
    query = sqlalchemy.select(*_COLUMNS).where(col(tables.Usage.request_id).in_(request_ids))
    async with database.read() as session:
        return {record.request_id: record for _, record in await _numbered(session, query)}


async def newest_usage(
    database: Database, limit: int, before: int | None, user: str | None
) -> list[Numbered]:
    """At most `limit` records, newest first; `before` leaves out that number and higher ones."""
    query = sqlalchemy.select(*_COLUMNS).order_by(_seq.desc()).limit(limit)
    if before is not None:
        query = query.where(_seq < before)
    if user is not None:
        query = query.where(col(tables.Usage.user) == user)
    async with database.read() as session:
        return await _numbered(session, query)


async def oldest_usage(database: Database, after: int, limit: int = _PAGE) -> list[Numbered]:
    """At most `limit` records with numbers above `after`, oldest first."""
    async with database.read() as session:
        return await _oldest(session, after, limit)


class UsageSnapshot:
    """One picture of the table; `drained` is what it should add up to."""

    def __init__(self, session: AsyncSession, drained: Drained) -> None:
        self._session = session
        self.drained = drained

    async def records(self) -> AsyncGenerator[UsageRecord]:
        """Every record in the order it was appended."""
        after = 0
        while rows := await _oldest(self._session, after, _PAGE):
            after = rows[-1][0]
            for _, record in rows:
                yield record

    async def repeated(self) -> int:
        """How many rows repeat the request id of another."""
        ids = col(tables.Usage.request_id)
        query = select(func.count(ids) - func.count(ids.distinct()))
        return int((await self._session.exec(query)).one())


@asynccontextmanager
async def usage_snapshot(database: Database) -> AsyncGenerator[UsageSnapshot]:
    """The table as it is now, whatever is appended meanwhile."""
    async with database.read() as session:
        yield UsageSnapshot(session, await _drained(session))


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


async def _drained(session: AsyncSession) -> Drained:
    row = await session.get(tables.Meta, _DRAINED)
    return Drained() if row is None else msgspec.json.decode(row.value, type=Drained)


async def _oldest(session: AsyncSession, after: int, limit: int) -> list[Numbered]:
    query = sqlalchemy.select(*_COLUMNS).where(_seq > after).order_by(_seq).limit(limit)
    return await _numbered(session, query)


async def _numbered(session: AsyncSession, query: sqlalchemy.Select[*tuple[Any, ...]]) -> list[Numbered]:
    connection = await session.connection()
    return [(row[0], UsageRecord(*row[1:])) for row in await connection.execute(query)]
