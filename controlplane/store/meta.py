"""Single values at rest."""

from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import tables
from controlplane.store.db import Database


class MetaTable:
    """Texts by key. Both calls raise DatabaseTrouble."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> str | None:
        async def work(session: AsyncSession) -> str | None:
            row = await session.get(tables.Meta, key)
            return None if row is None else row.value

        return await self._database.read(work)

    async def set(self, key: str, value: str) -> None:
        async def work(session: AsyncSession) -> None:
            await session.merge(tables.Meta(key=key, value=value))

        await self._database.write(work)
