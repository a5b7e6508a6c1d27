"""Opening a database: made, migrated with a backup first, or refused with a reason."""

import asyncio
import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store import migrations, schema, tables
from controlplane.store.db import Database, DatabaseTrouble, open_database
from controlplane.store.meta import MetaTable
from flockpy.errors import StartError
from tests.unit.controlplane.helpers import HandClock


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


async def add_a_value(session: AsyncSession) -> None:
    session.add(tables.Meta(key="k", value="v"))
    await session.flush()


def file_modes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}


async def opened(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "state.db", tmp_path / "backups", HandClock())
    await database.close()


async def test_a_new_database_is_private_and_in_wal_mode(database: Database, tmp_path: Path):
    assert rows(database.path, "PRAGMA journal_mode") == [("wal",)]
    modes = file_modes(tmp_path)
    assert modes["state.db"] == 0o600
    assert set(modes.values()) == {0o600}
    assert not (tmp_path / "backups").exists()


async def test_every_connection_has_foreign_keys_a_busy_timeout_and_light_syncs(database: Database):
    async def ask(session: AsyncSession) -> list[object]:
        connection = await session.connection()
        names = ("foreign_keys", "busy_timeout", "synchronous")
        return [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in names]

    assert await database.read(ask) == await database.write(ask) == [1, 5000, 1]


async def test_a_reader_cannot_write(database: Database):
    with pytest.raises(DatabaseTrouble):
        await database.read(add_a_value)


async def test_a_failed_block_leaves_nothing_behind(database: Database):
    async def fail(session: AsyncSession) -> None:
        await add_a_value(session)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert rows(database.path, "SELECT * FROM meta") == []


async def test_readers_go_on_while_a_writer_is_busy(database: Database):
    async def busy(session: AsyncSession) -> str | None:
        await add_a_value(session)
        async with asyncio.timeout(30):
            return await MetaTable(database).get("k")

    assert await database.write(busy) is None
    assert await MetaTable(database).get("k") == "v"


async def test_a_caller_who_is_cancelled_leaves_no_transaction_and_no_lock_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "LOCK_WAIT_S", 1.0)
    database = await open_database(tmp_path / "state.db", tmp_path / "backups", HandClock())
    for turns in range(25):  # cut off at every step of a transaction
        writing = asyncio.create_task(MetaTable(database).set("k", str(turns)))
        reading = asyncio.create_task(MetaTable(database).get("k"))
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        reading.cancel()
        await asyncio.gather(writing, reading, return_exceptions=True)
    await MetaTable(database).set("k", "last")
    assert await MetaTable(database).get("k") == "last"
    await database.close()


async def test_migrations_make_exactly_the_tables(tmp_path: Path):
    await opened(tmp_path)
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'state.db'}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    engine.dispose()


def test_the_newest_script_is_the_schema_the_program_names():
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.SCHEMA]


async def test_opening_leaves_logging_as_it_was(tmp_path: Path):
    before = logging.getLogger("somebody"), logging.root.handlers[:], logging.root.level
    await opened(tmp_path)
    assert not before[0].disabled
    assert (logging.root.handlers, logging.root.level) == before[1:]


async def test_an_older_schema_is_migrated_after_a_backup_that_names_both_versions(tmp_path: Path):
    path = tmp_path / "state.db"
    schema.migrate(path, "0001")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO nodes VALUES ('n_1', 'leader', 1.0, 0, 'box')")
    await opened(tmp_path)
    assert schema.read_version(path) == migrations.SCHEMA
    assert rows(path, "SELECT id FROM nodes") == [("n_1",)]
    [backup] = (tmp_path / "backups").iterdir()
    assert backup.name == f"state-schema-0001-to-{migrations.SCHEMA}-20241004T120000Z.db"
    assert backup.stat().st_mode & 0o777 == 0o600
    assert schema.read_version(backup) == "0001"
    assert rows(backup, "SELECT id FROM nodes") == [("n_1",)]
    await opened(tmp_path)
    assert len(list((tmp_path / "backups").iterdir())) == 1


async def test_a_migration_that_fails_leaves_the_old_schema_whole(tmp_path: Path):
    path = tmp_path / "state.db"
    schema.migrate(path, "0001")
    rows(path, "CREATE TABLE audit (in_the_way)")
    with pytest.raises(StartError):
        await opened(tmp_path)
    assert schema.read_version(path) == "0001"
    assert ("usage",) not in rows(path, "SELECT name FROM sqlite_master")


async def test_a_newer_schema_is_refused_with_both_versions_and_the_way_out(tmp_path: Path):
    await opened(tmp_path)
    rows(tmp_path / "state.db", "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StartError, match=rf"schema 9999.*up to {migrations.SCHEMA}") as refusal:
        await opened(tmp_path)
    assert refusal.value.hint == "install that newer version again"
    copy = tmp_path / "backups" / "state-schema-0003-to-9999-20990101T000000Z.db"
    copy.parent.mkdir()
    copy.touch()
    with pytest.raises(StartError) as refusal:
        await opened(tmp_path)
    assert str(refusal.value.hint).endswith(f"flockpy restore {copy}")
    assert rows(tmp_path / "state.db", "SELECT version_num FROM alembic_version") == [("9999",)]


@pytest.mark.parametrize(
    "content", [b"not a database, just words" * 100, b"SQLite format 3\0" + b"\xff" * 8192]
)
async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes):
    (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(StartError, match="damaged or not a database") as refusal:
        await opened(tmp_path)
    assert "restore" in str(refusal.value.hint)
    assert (tmp_path / "state.db").read_bytes() == content


async def test_a_damaged_page_is_found_at_start(tmp_path: Path):
    await opened(tmp_path)
    path = tmp_path / "state.db"
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StartError, match="damaged"):
        await opened(tmp_path)


async def test_somebody_elses_database_is_refused(tmp_path: Path):
    rows(tmp_path / "state.db", "CREATE TABLE theirs (x)")
    with pytest.raises(StartError, match="not one of flockpy's"):
        await opened(tmp_path)


async def test_a_database_that_another_program_holds_is_named_as_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schema, "LOCK_WAIT_S", 0.1)
    await opened(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StartError, match="locked by another program"):
            await opened(tmp_path)


async def test_a_directory_in_the_place_of_the_database_is_a_start_error(tmp_path: Path):
    (tmp_path / "state.db").mkdir()
    with pytest.raises(StartError, match="cannot be used"):
        await opened(tmp_path)


def test_a_copy_is_one_whole_private_file(tmp_path: Path):
    schema.migrate(tmp_path / "a.db", "0001")
    schema.copy(tmp_path / "a.db", tmp_path / "b.db")
    assert schema.read_version(tmp_path / "b.db") == "0001"
    assert (tmp_path / "b.db").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        schema.copy(tmp_path / "a.db", tmp_path / "b.db")
