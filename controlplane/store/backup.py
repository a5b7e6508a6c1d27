"""A leader's state in one file, and back: the database as of one moment, and the secrets that belong to it.

The archive is a compressed tar of a manifest and the files of `_small_files`; nothing in it is ever used as
a path. Synchronous: the command line runs this, beside a leader (backup) or without one (restore).
"""

import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from controlplane.store import schema
from controlplane.store.migrations import SCHEMA
from flockpy.errors import StartError
from flockpy.paths import DataDir
from flockpy.security import private_dir

_MANIFEST = "manifest.json"
_DATABASE = "state.db"
_SMALL_BYTES = 2**20


class Manifest(msgspec.Struct, frozen=True):
    """What an archive says of itself. `created_at` is RFC 3339; `schema` the database's revision."""

    format: int
    schema: str
    created_at: str


def backup_to(data: DataDir, file: Path, now: float) -> Manifest:
    """Write the state of the leader of `data` to `file` (0600), also while that leader runs.

    `now`: seconds since the epoch. Raises StartError: no state there, `file` exists, no room, damaged.
    """
    if not data.database.exists():
        raise StartError(f"There is no leader's state in {data.root}", hint="flockpy up makes one")
    if not file.absolute().parent.is_dir():
        raise StartError(
            f"There is no folder {file.absolute().parent} to write a backup to", hint="make it first"
        )
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory(dir=private_dir(data.backups)) as scratch:
            copy = Path(scratch) / _DATABASE
            schema.copy(data.database, copy)
            version = schema.read_version(copy)
            manifest = Manifest(1, version or "", _stamp(now, "%Y-%m-%dT%H:%M:%SZ"))
            (Path(scratch) / _MANIFEST).write_bytes(msgspec.json.encode(manifest))
            sources = {_MANIFEST: Path(scratch) / _MANIFEST, _DATABASE: copy, **_small_files(data)}
            _pack(partial, sources, now)
        os.link(partial, file)  # unlike a rename this never replaces a file
    except FileExistsError as error:
        raise StartError(f"{file} exists already", hint="name another file, or remove it first") from error
    except (OSError, sqlite3.Error) as error:
        raise StartError(f"The backup could not be written to {file}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def restore_from(file: Path, data: DataDir, now: float) -> Path | None:
    """Put the state in `file` in place of that in `data`; no leader may run there.

    A copy of the database alone, as a migration leaves it, will do: the secrets that are there stay then. What was
    there before is moved into a folder of its own, which is answered (None if there was nothing).
    A configuration file is restored only where there is none.
    Raises StartError: not a backup, of a newer schema, damaged, no room. Nothing has changed then.
    """
    private_dir(data.root)
    with _unpacked(file, data) as staged:
        alone = _is_database(file)
        version = _database_in(file, staged) if alone else _checked(file, staged)
        if version > SCHEMA:
            raise schema.too_new(str(file), version)
        aside = _move_aside(data, now, secrets=not alone)
        places = _small_files(data) | {_DATABASE: data.database}
        for name, place in places.items():
            if (staged / name).exists() and not place.exists():
                private_dir(place.parent)
                (staged / name).rename(place)
    return aside


def _small_files(data: DataDir) -> dict[str, Path]:
    """Where each file beside the database belongs, by its name in the archive."""
    return {"admin.key": data.admin_key, "identity.json": data.identity, "config.yaml": data.config}


def _pack(target: Path, sources: dict[str, Path], now: float) -> None:
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, path in sources.items():
            if path.exists():
                member = tarfile.TarInfo(name)
                member.size = path.stat().st_size
                member.mode = 0o600
                member.mtime = int(now)
                with path.open("rb") as content:
                    archive.addfile(member, content)
    with target.open("rb") as written:
        os.fsync(written.fileno())


@contextmanager
def _unpacked(file: Path, data: DataDir) -> Generator[Path]:
    """A folder with the known files of the archive in it, gone afterwards."""
    known = {_MANIFEST, _DATABASE, *_small_files(data)}
    staged = Path(tempfile.mkdtemp(prefix=".restore-", dir=data.root))
    try:
        if _is_database(file):
            shutil.copyfile(file, staged / _DATABASE)
            yield staged
            return
        with tarfile.open(file, "r:gz") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is None or member.name not in known:
                    raise StartError(f"{file} is not a backup of flockpy: it holds {member.name!r}")
                if member.name != _DATABASE and member.size > _SMALL_BYTES:
                    raise StartError(f"{file} is not a backup of flockpy: {member.name} is too large")
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                with os.fdopen(os.open(staged / member.name, flags, 0o600), "wb") as target:
                    shutil.copyfileobj(content, target)
        yield staged
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StartError(f"{file} could not be restored: {error}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _checked(file: Path, staged: Path) -> str:
    """The schema of the archive in `staged`, once its parts are found whole."""
    try:
        manifest = msgspec.json.decode((staged / _MANIFEST).read_bytes(), type=Manifest)
        if manifest.format != 1:
            raise StartError(
                f"{file} has format {manifest.format}, of a newer flockpy; this one knows format 1"
            )
        if manifest.schema > SCHEMA:
            return manifest.schema
    except (FileNotFoundError, msgspec.DecodeError) as error:
        raise StartError(f"{file} is not a backup of flockpy: {error}") from error
    version = _database_in(file, staged)
    if version != manifest.schema:
        raise StartError(f"{file} is not whole: schema {manifest.schema} was promised, {version} is inside")
    return version


def _is_database(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(16) == b"SQLite format 3\0"


def _database_in(file: Path, staged: Path) -> str:
    """The schema of the database in `staged`, once it is found whole."""
    try:
        schema.check_pages(staged / _DATABASE)
        version = schema.read_version(staged / _DATABASE)
    except sqlite3.Error as error:
        raise StartError(f"The database in {file} is damaged: {error}", hint="use another backup") from error
    if version is None:
        raise StartError(f"{file} is not whole: its database is empty")
    return version


def _move_aside(data: DataDir, now: float, *, secrets: bool) -> Path | None:
    names = [data.database, data.journal, *((data.admin_key, data.identity) if secrets else ())]
    names += [data.database.with_name(data.database.name + end) for end in ("-wal", "-shm")]
    present = [path for path in names if path.exists()]
    if not present:
        return None
    aside = private_dir(data.backups) / f"replaced-{_stamp(now, '%Y%m%dT%H%M%SZ')}"
    while aside.exists():
        aside = aside.with_name(aside.name + "+")
    private_dir(aside)
    for path in present:
        path.rename(aside / path.name)
    return aside


def _stamp(now: float, form: str) -> str:
    return datetime.fromtimestamp(now, UTC).strftime(form)
