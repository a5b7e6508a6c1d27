"""API keys at rest."""

import msgspec
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database
from controlplane.tenants.model import Key, Scope

_models = msgspec.json.Decoder(frozenset[str])


async def load_keys(database: Database) -> tuple[Key, ...]:
    """Every key ever made, oldest first, the revoked ones too."""

    async def work(session: AsyncSession) -> tuple[Key, ...]:
        order = col(tables.Keys.created_at), col(tables.Keys.id)
        rows = await session.exec(select(tables.Keys).order_by(*order))
        return tuple(_key(row) for row in rows)

    return await database.read(work)


async def insert_key(database: Database, key: Key) -> None:
    """Raises sqlalchemy.exc.IntegrityError when its id or hash is there already."""

    async def work(session: AsyncSession) -> None:
        session.add(_row(key))

    await database.write(work)


async def mark_revoked(database: Database, key_id: str, revoked_at: float) -> None:
    async def work(session: AsyncSession) -> None:
        await session.exec(
            update(tables.Keys).where(col(tables.Keys.id) == key_id).values(revoked_at=revoked_at)
        )

    await database.write(work)


def _row(key: Key) -> tables.Keys:
    return tables.Keys(
        id=key.id,
        name=key.name,
        scope=key.scope,
        prefix=key.prefix,
        hash=key.hash,
        created_at=key.created_at,
        daily_token_quota=key.daily_token_quota,
        models=None if key.models is None else msgspec.json.encode(sorted(key.models)).decode(),
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        subject=key.subject,
    )


def _key(row: tables.Keys) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        scope=msgspec.convert(row.scope, Scope),
        prefix=row.prefix,
        hash=row.hash,
        created_at=row.created_at,
        daily_token_quota=row.daily_token_quota,
        models=None if row.models is None else _models.decode(row.models),
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        subject=row.subject,
    )
