"""Audit entries at rest: a chain, each entry hashed together with the hash of the one before."""

from collections.abc import Sequence

import msgspec
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database
from controlplane.tenants.accounts import AuditHead, audit_hash
from controlplane.tenants.model import AuditEntry, AuditSummary, AuditVerification

_HEAD = "audit.head"
_PAGE = 500


async def append_audit(
    database: Database, time: float, actor: str, action: str, target: str, detail: str
) -> None:
    """Add an entry to the end of the chain. Raises DatabaseTrouble."""

    async def work(session: AsyncSession) -> None:
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

    await database.write(work)


async def newest_audit(
    database: Database, limit: int, before: int | None, actor: str | None
) -> list[tuple[int, AuditEntry]]:
    """At most `limit` entries with their numbers, newest first; `before` leaves out that number and higher."""
    query = select(tables.Audit).order_by(col(tables.Audit.seq).desc()).limit(limit)
    if before is not None:
        query = query.where(col(tables.Audit.seq) < before)
    if actor is not None:
        query = query.where(col(tables.Audit.actor) == actor)

    async def work(session: AsyncSession) -> list[tuple[int, AuditEntry]]:
        return _numbered((await session.exec(query)).all())

    return await database.read(work)


async def oldest_audit(database: Database, after: int) -> list[tuple[int, AuditEntry]]:
    """A page of the entries with numbers above `after`, oldest first."""

    async def work(session: AsyncSession) -> list[tuple[int, AuditEntry]]:
        return await _oldest(session, after)

    return await database.read(work)


async def verify_audit(database: Database) -> AuditVerification:
    """Recompute the chain from the first entry to the end that was noted when the newest one was written."""

    async def work(session: AsyncSession) -> AuditVerification:
        head = await _head(session)
        previous = b""
        number = 0
        while rows := await _oldest(session, number):
            for seq, entry in rows:
                number += 1
                expected = audit_hash(
                    previous, number, entry.time, entry.actor, entry.action, entry.target, entry.detail
                )
                said = bytes.fromhex(entry.previous_hash), bytes.fromhex(entry.hash)
                if seq != number or said != (previous, expected) or number > head.entries:
                    return AuditVerification(False, number, f"a_{number}")
                previous = expected
        if (number, previous) != (head.entries, head.hash):
            return AuditVerification(False, number, f"a_{number + 1}")
        return AuditVerification(True, number)

    return await database.read(work)


async def summarise_audit(database: Database, top: int) -> AuditSummary:
    """The `top` most frequent actors and actions."""

    async def work(session: AsyncSession) -> AuditSummary:
        entries = (await session.exec(select(func.count(col(tables.Audit.seq))))).one()
        actors, actions = [
            await session.exec(
                select(column, func.count()).group_by(column).order_by(func.count().desc(), column).limit(top)
            )
            for column in (col(tables.Audit.actor), col(tables.Audit.action))
        ]
        return AuditSummary(entries, dict(actors.all()), dict(actions.all()))

    return await database.read(work)


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
