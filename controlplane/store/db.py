"""The open database: one writer at a time, readers beside it (SQLite in WAL mode)."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import schema, tables
from flockpy.clock import Clock
from flockpy.errors import Overloaded, StartError

T = TypeVar("T")
Work = Callable[[AsyncSession], Coroutine[Any, Any, T]]

_READERS = 4


class DatabaseTrouble(Overloaded):
    """The database cannot be used at the moment; nothing of the transaction happened."""


class Database:
    """Sessions for the functions of this package; other packages only carry it about.

    The write lock is held for one transaction and never across anything but the database.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = asyncio.Lock()
        self._running: set[asyncio.Task[Any]] = set()
        self._writer = _engine(path, "BEGIN IMMEDIATE", connections=1)
        self._reader = _engine(path, "BEGIN", connections=_READERS, pragmas=("PRAGMA query_only = ON",))

    async def write(self, work: Work[T]) -> T:
        """Do `work` as one transaction, committed when it returns, rolled back when it raises.

        A caller that is cancelled does not cut it off.
        Raises DatabaseTrouble, here and in `read`: locked for too long, disk full, damaged.
        """
        await self._lock.acquire()
        task = self._start(self._writer, work)
        task.add_done_callback(lambda _: self._lock.release())
        return await asyncio.shield(task)

    async def read(self, work: Work[T]) -> T:
        """Do `work` on one consistent picture; writers go on meanwhile."""
        return await asyncio.shield(self._start(self._reader, work))

    def _start(self, engine: AsyncEngine, work: Work[T]) -> asyncio.Task[T]:
        # In a task of its own: a statement cancelled half-way would leave its transaction, and the lock that
        # SQLite took for it, to a connection that nobody holds any more.
        task = asyncio.create_task(self._transaction(engine, work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _transaction(self, engine: AsyncEngine, work: Work[T]) -> T:
        try:
            async with AsyncSession(engine) as session, session.begin():
                return await work(session)
        except IntegrityError:
            raise  # the caller's mistake, not the database's trouble
        except DBAPIError as error:
            message, hint = schema.explain(self.path, error)
            raise DatabaseTrouble(message, hint=hint) from error

    async def trouble(self) -> str | None:
        """Why it cannot be read at the moment; None when it can."""

        async def look(session: AsyncSession) -> None:
            await session.exec(select(tables.Meta).limit(1))

        try:
            await self.read(look)
        except DatabaseTrouble as error:
            return error.message
        return None

    async def close(self) -> None:
        """Let what runs come to its end, then let go of the files."""
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._reader.dispose()
        await self._writer.dispose()


async def open_database(path: Path, backups_dir: Path, clock: Clock) -> Database:
    """The database at `path` (made if missing, 0600), on the newest schema; migrated only after a backup.

    Raises StartError: unreadable, corrupt, locked, somebody else's, or of a newer schema.
    """
    await asyncio.to_thread(schema.prepare, path, backups_dir, clock.wall())
    database = Database(path)
    try:
        await database.write(_begin)  # that it can be written is known before anything is served
    except DatabaseTrouble as error:
        await database.close()
        raise StartError(error.message, hint=error.hint) from error
    return database


async def _begin(session: AsyncSession) -> None:
    await session.connection()


def _engine(path: Path, begin: str, connections: int, pragmas: tuple[str, ...] = ()) -> AsyncEngine:
    engine = create_async_engine(
        sqlalchemy.URL.create("sqlite+aiosqlite", database=str(path)),
        pool_size=connections,
        max_overflow=0,
        connect_args={"timeout": schema.LOCK_WAIT_S},
    )

    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where `on_begin` says, not at the first change
        cursor = connection.cursor()
        for statement in (
            "PRAGMA journal_mode = WAL",
            "PRAGMA synchronous = NORMAL",
            "PRAGMA foreign_keys = ON",
            f"PRAGMA busy_timeout = {int(schema.LOCK_WAIT_S * 1000)}",
            *pragmas,
        ):
            cursor.execute(statement)
        cursor.close()

    def on_begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", on_connect)
    event.listen(engine.sync_engine, "begin", on_begin)
    return engine
