"""Audit entries at rest: a chain, each entry hashed together with the hash of the one before."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import msgspec
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database
from controlplane.tenants.accounts import AuditHead, audit_hash
from controlplane.tenants.model import AuditEntry, AuditSummary

_HEAD = "audit.head"
_PAGE = 500


async def append_audit(
    database: Database, time: float, actor: str, action: str, target: str, detail: str
) -> None:
    """Add an entry to the end of the chain. Raises DatabaseTrouble."""
    async with database.write() as session:
        head = await _head(session)
        number = head.entries + 1
        digest = audit_hash(head.hash, number, time, actor, action, target, detail)
        session.add(
            tables.Audit(
                seq=number,
                time=time,
                actor=actor,
                action=action,
                target=target,
                detail=detail,
                hash=digest,
                previous_hash=head.hash,
            )
        )
        text = msgspec.json.encode(AuditHead(number, digest)).decode()
        await session.merge(tables.Meta(key=_HEAD, value=text))


async def newest_audit(
    database: Database, limit: int, before: int | None, actor: str | None
) -> list[tuple[int, AuditEntry]]:
    """At most `limit` entries with their numbers, newest first; `before` leaves out that number and higher."""
    query = select(tables.Audit).order_by(col(tables.Audit.seq).desc()).limit(limit)
    if before is not None:
        query = query.where(col(tables.Audit.seq) < before)
    if actor is not None:
        query = query.where(col(tables.Audit.actor) == actor)
    async with database.read() as session:
        return _numbered((await session.exec(query)).all())


async def oldest_audit(database: Database, after: int) -> list[tuple[int, AuditEntry]]:
    """A page of the entries with numbers above `after`, oldest first."""
    async with database.read() as session:
        return await _oldest(session, after)


class AuditSnapshot:
    """One picture of the chain; `head` is the end noted when the newest entry was written."""

    def __init__(self, session: AsyncSession, head: AuditHead) -> None:
        self._session = session
        self.head = head

    async def entries(self) -> AsyncGenerator[AuditEntry]:
        """Every entry, oldest first."""
        after = 0
        while rows := await _oldest(self._session, after):
            after = rows[-1][0]
            for _, entry in rows:
                yield entry


@asynccontextmanager
async def audit_snapshot(database: Database) -> AsyncGenerator[AuditSnapshot]:
    """The chain as it is now, whatever is appended meanwhile."""
    async with database.read() as session:
        yield AuditSnapshot(session, await _head(session))


async def summarise_audit(database: Database, top: int) -> AuditSummary:
    """The `top` most frequent actors and actions."""
    async with database.read() as session:
        entries = (await session.exec(select(func.count(col(tables.Audit.seq))))).one()
        actors, actions = [
            await session.exec(
                select(column, func.count()).group_by(column).order_by(func.count().desc(), column).limit(top)
            )
            for column in (col(tables.Audit.actor), col(tables.Audit.action))
        ]
        return AuditSummary(entries, dict(actors.all()), dict(actions.all()))


async def _head(session: AsyncSession) -> AuditHead:
    row = await session.get(tables.Meta, _HEAD)
    return AuditHead() if row is None else msgspec.json.decode(row.value, type=AuditHead)


async def _oldest(session: AsyncSession, after: int) -> list[tuple[int, AuditEntry]]:
    number = col(tables.Audit.seq)
    rows = await session.exec(select(tables.Audit).where(number > after).order_by(number).limit(_PAGE))
    return _numbered(rows.all())


def _numbered(rows: Sequence[tables.Audit]) -> list[tuple[int, AuditEntry]]:
    return [(row.seq or 0, _entry(row)) for row in rows]


def _entry(row: tables.Audit) -> AuditEntry:
    return AuditEntry(
        id=f"a_{row.seq}",
        time=row.time,
        actor=row.actor,
        action=row.action,
        target=row.target,
        detail=row.detail,
        hash=row.hash.hex(),
        previous_hash=row.previous_hash.hex(),
    )
