"""Single values at rest."""

from controlplane.store import tables
from controlplane.store.db import Database


class MetaTable:
    """Texts by key. Both calls raise DatabaseTrouble."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, key: str) -> str | None:
        async with self._database.read() as session:
            row = await session.get(tables.Meta, key)
            return None if row is None else row.value

    async def set(self, key: str, value: str) -> None:
        async with self._database.write() as session:
            await session.merge(tables.Meta(key=key, value=value))
