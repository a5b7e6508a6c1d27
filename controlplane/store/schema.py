"""Bring a database file to the schema this program knows: check, back up, migrate. Synchronous."""

import os
import shlex
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from controlplane.store.migrations import SCHEMA
from flockpy.errors import StartError
from flockpy.security import private_dir

LOCK_WAIT_S = 5.0
"""How long a statement waits for another program's lock before it fails."""

_CHECKED_UP_TO_BYTES = 64 * 2**20
"""Databases up to here are checked page by page at each start (about 0.1 s); larger ones when copied."""


def prepare(path: Path, backups_dir: Path, now: float) -> None:
    """Make or migrate the database at `path` (0600). An existing one is first copied into `backups_dir`.

    Raises StartError: unreadable, corrupt, locked, or written by a newer program.
    """
    try:
        private_dir(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        version = read_version(path)
        if version is not None and version > SCHEMA:
            raise too_new(str(path), version, backups_dir)
        if version == SCHEMA:
            return
        if version is not None:
            stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
            private_dir(backups_dir)
            copy(path, backups_dir / f"{path.stem}-schema-{version}-to-{SCHEMA}-{stamp}.db")
        migrate(path, SCHEMA)
    except (sqlite3.Error, DBAPIError, OSError) as error:
        raise start_error(path, error) from error


def too_new(what: str, version: str, backups_dir: Path | None = None) -> StartError:
    """The refusal of a database of `version`; `what` names the file. `backups_dir`: where the newer program has put a
    copy before it changed the schema."""
    copies = sorted(backups_dir.glob(f"*-schema-*-to-{version}-*.db")) if backups_dir else []
    back = (
        f", or go back to what was before: flockpy restore {shlex.quote(str(copies[-1]))}" if copies else ""
    )
    return StartError(
        f"{what} has schema {version}, written by a newer flockpy; this one knows schemas up to {SCHEMA}",
        hint=f"install that newer version again{back}",
    )


def read_version(path: Path) -> str | None:
    """The schema revision of the database at `path`; None when it holds nothing yet.

    Raises sqlite3.DatabaseError when it is corrupt or not a database, StartError when it is somebody else's.
    """
    with closing(sqlite3.connect(path, timeout=LOCK_WAIT_S)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if path.stat().st_size <= _CHECKED_UP_TO_BYTES:
            _check(connection)
        if not tables:
            return None
        row = None
        if "alembic_version" in tables:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if row is None:
            raise StartError(f"{path} is an SQLite database, but not one of flockpy's", hint="move it away")
        return str(row[0])


def copy(source: Path, target: Path) -> None:
    """A consistent copy (0600) of the database at `source`, also while others write to it.

    Raises sqlite3.DatabaseError when either is damaged; FileExistsError when `target` exists.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with (
            closing(sqlite3.connect(source, timeout=LOCK_WAIT_S)) as reader,
            closing(sqlite3.connect(target)) as writer,
        ):
            reader.backup(writer)
            writer.execute("PRAGMA journal_mode = DELETE")  # one file, readable without a -wal beside it
            _check(writer)
    except (sqlite3.Error, OSError):
        target.unlink(missing_ok=True)
        raise


def check_pages(path: Path) -> None:
    """Raises sqlite3.DatabaseError when any page of the database at `path` is damaged."""
    with closing(sqlite3.connect(path)) as connection:
        _check(connection)


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"database disk image is malformed: {verdict}")


def migrate(path: Path, target: str) -> None:
    """Upgrade to revision `target` in one transaction: a crash leaves the old schema whole."""
    from alembic import command  # imported late: most starts have nothing to migrate
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"timeout": LOCK_WAIT_S, "isolation_level": None},
    )

    def begin(connection: sqlalchemy.Connection) -> None:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")

    event.listen(engine, "begin", begin)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, target)
    finally:
        engine.dispose()


def start_error(path: Path, error: Exception) -> StartError:
    """What to tell when a database at `path` could not be opened because of `error`."""
    message, hint = explain(path, error)
    return StartError(message, hint=hint)


def explain(path: Path, error: Exception) -> tuple[str, str]:
    """What is wrong with the database at `path`, in words, and what mends it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", "") or ""
    text = str(cause)
    if name.startswith("SQLITE_BUSY") or "locked" in text:
        return (
            f"{path} is locked by another program (waited {LOCK_WAIT_S:g} s)",
            "is another leader or an SQLite tool using it? stop that one first",
        )
    if name.startswith("SQLITE_FULL"):
        return f"{path} cannot grow: {text}", "make room on that disk"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")) or "malformed" in text:
        return (
            f"{path} is damaged or not a database: {text}",
            f"put back a copy: flockpy restore FILE, or one of the files in {path.parent / 'backups'}",
        )
    return f"{path} cannot be used: {text}", "check permissions and free space there"
