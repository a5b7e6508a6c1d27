"""Usage records at rest, and how far the journal has been drained into them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database
from controlplane.tenants import accounts
from controlplane.tenants.accounts import Drained, Position, Totals
from controlplane.tenants.model import UsageRecord

_DRAINED = "usage.drained"
_PAGE = 500
_PIECE = 250
"""Records that are added up between two looks at the requests."""
_FIELDS = UsageRecord.__struct_fields__
_COLUMNS: list[Any] = [getattr(tables.Usage, name) for name in ("seq", *_FIELDS)]
_seq = _COLUMNS[0]
# Written out, since every request comes by here and the statement compiler would cost as much as SQLite does.
_INSERT = f"INSERT INTO usage ({', '.join(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"  # noqa: S608

_Query = sqlalchemy.Select[*tuple[Any, ...]]

Numbered = tuple[int, UsageRecord]
"""A record and its number in the order in which the table got them."""


async def load_drained(database: Database) -> Drained:
    """Position and totals as of the last append."""
    return await database.read(_drained)


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
    total = func.sum(tables.Usage.prompt_tokens + tables.Usage.completion_tokens)
    query = select(tables.Usage.key_id, total).where(col(tables.Usage.time) >= since)

    async def work(session: AsyncSession) -> dict[str, int]:
        rows = await session.exec(query.group_by(col(tables.Usage.key_id)))
        return {key_id: int(tokens) for key_id, tokens in rows}

    return await database.read(work)


async def known_usage(database: Database, request_ids: Sequence[str]) -> dict[str, UsageRecord]:
    """The records of those of `request_ids` (some thousands at most) that have one."""
    query = sqlalchemy.select(*_COLUMNS).where(col(tables.Usage.request_id).in_(request_ids))
    return {record.request_id: record for _, record in await _read(database, query)}


async def newest_usage(
    database: Database, limit: int, before: int | None, user: str | None
) -> list[Numbered]:
    """At most `limit` records, newest first; `before` leaves out that number and higher ones."""
    query = sqlalchemy.select(*_COLUMNS).order_by(_seq.desc()).limit(limit)
    if before is not None:
        query = query.where(_seq < before)
    if user is not None:
        query = query.where(col(tables.Usage.user) == user)
    return await _read(database, query)


async def oldest_usage(database: Database, after: int) -> list[Numbered]:
    """A page of the records with numbers above `after`, oldest first."""
    return await _read(database, _page_after(after))


class Recount(msgspec.Struct, frozen=True):
    """The table added up now, what was committed to it, and how many rows repeat another's request id."""

    found: Totals
    committed: Totals
    repeated: int


async def recount_usage(database: Database) -> Recount:
    """Add up the table as it is now, whatever is appended meanwhile."""
    ids = col(tables.Usage.request_id)

    async def work(session: AsyncSession) -> Recount:
        committed = (await _drained(session)).totals
        repeated = await session.exec(select(func.count(ids) - func.count(ids.distinct())))
        found = Totals()
        after = 0
        while rows := await _numbered(session, _page_after(after)):
            after = rows[-1][0]
            found = accounts.add(found, *[record for _, record in rows])
        return Recount(found, committed, int(repeated.one()))

    return await database.read(work)


async def _append(database: Database, records: Sequence[UsageRecord], position: Position | None) -> Drained:
    async def work(session: AsyncSession) -> Drained:
        before = await _drained(session)
        totals = before.totals
        for start in range(0, len(records), _PIECE):
            totals = accounts.add(totals, *records[start : start + _PIECE])
            await asyncio.sleep(0)  # requests need not wait until all are added
        if records:
            connection = await session.connection()
            await connection.exec_driver_sql(_INSERT, [msgspec.structs.astuple(record) for record in records])
        after = Drained(position or before.position, totals)
        await session.merge(tables.Meta(key=_DRAINED, value=msgspec.json.encode(after).decode()))
        return after

    return await database.write(work)


async def _drained(session: AsyncSession) -> Drained:
    row = await session.get(tables.Meta, _DRAINED)
    return Drained() if row is None else msgspec.json.decode(row.value, type=Drained)


def _page_after(number: int) -> _Query:
    return sqlalchemy.select(*_COLUMNS).where(_seq > number).order_by(_seq).limit(_PAGE)


async def _read(database: Database, query: _Query) -> list[Numbered]:
    async def work(session: AsyncSession) -> list[Numbered]:
        return await _numbered(session, query)

    return await database.read(work)


async def _numbered(session: AsyncSession, query: _Query) -> list[Numbered]:
    connection = await session.connection()
    return [(row[0], UsageRecord(*row[1:])) for row in await connection.execute(query)]
