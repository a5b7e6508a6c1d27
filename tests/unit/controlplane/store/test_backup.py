"""Backup and restore: whole, private, reversible, and no way out of the data directory."""

import io
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.store import schema
from controlplane.store.backup import backup_to, restore_from
from controlplane.store.db import open_database
from controlplane.store.meta import MetaTable
from controlplane.store.migrations import SCHEMA
from flockpy.errors import StartError
from flockpy.paths import DataDir
from tests.unit.controlplane.helpers import NOON, HandClock


@pytest.fixture
def data(tmp_path: Path) -> DataDir:
    return DataDir(tmp_path / "flock")


async def a_leader(data: DataDir, value: str) -> None:
    database = await open_database(data.database, data.backups, HandClock())
    await MetaTable(database).set("k", value)
    await database.close()
    write(data.admin_key, f"key of {value}")
    write(data.identity, f"identity of {value}")
    write(data.config, f"# config of {value}")
    write(data.journal / "00000001.journal", value)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


async def value_in(data: DataDir) -> str | None:
    database = await open_database(data.database, data.backups, HandClock())
    try:
        return await MetaTable(database).get("k")
    finally:
        await database.close()


def archive(path: Path, members: dict[str, bytes], kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:gz") as out:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content) if kind == tarfile.REGTYPE else 0
            member.type = kind
            member.linkname = "admin.key"
            out.addfile(member, io.BytesIO(content))
    return path


def manifest(**changes: Any) -> bytes:
    return msgspec.json.encode({"format": 1, "schema": SCHEMA, "created_at": ""} | changes)


async def test_a_backup_of_a_running_leader_restores_on_an_empty_machine(data: DataDir, tmp_path: Path):
    await a_leader(data, "a")
    running = await open_database(data.database, data.backups, HandClock())
    await MetaTable(running).set("k", "newest, still in the -wal")
    file = tmp_path / "b.tar.gz"
    assert backup_to(data, file, NOON).schema == SCHEMA
    await running.close()
    assert file.stat().st_mode & 0o777 == 0o600
    elsewhere = DataDir(tmp_path / "elsewhere")
    assert restore_from(file, elsewhere, NOON) is None
    assert await value_in(elsewhere) == "newest, still in the -wal"
    for place in (elsewhere.admin_key, elsewhere.identity, elsewhere.database, elsewhere.config):
        assert place.stat().st_mode & 0o777 == 0o600
    assert elsewhere.admin_key.read_text() == "key of a"
    assert elsewhere.identity.read_text() == "identity of a"
    assert list(data.backups.iterdir()) == []


async def test_what_a_restore_replaces_is_kept_aside(data: DataDir, tmp_path: Path):
    await a_leader(data, "old")
    backup_to(data, tmp_path / "b", NOON)
    await a_leader(data, "new")
    aside = restore_from(tmp_path / "b", data, NOON)
    assert aside is not None
    assert aside == data.backups / "replaced-20241004T120000Z"
    assert await value_in(data) == "old"
    assert not data.journal.exists(), "the journal of a later time does not belong to this database"
    assert data.config.read_text() == "# config of new"
    assert (aside / "admin.key").read_text() == "key of new"
    assert (aside / "journal" / "00000001.journal").read_text() == "new"
    assert restore_from(tmp_path / "b", data, NOON) == data.backups / "replaced-20241004T120000Z+"


async def test_a_backup_never_replaces_a_file(data: DataDir, tmp_path: Path):
    await a_leader(data, "a")
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(StartError, match="exists already"):
        backup_to(data, tmp_path / "precious", NOON)
    assert (tmp_path / "precious").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"precious", "flock"}


def test_where_no_leader_was_there_is_nothing_to_back_up(data: DataDir, tmp_path: Path):
    with pytest.raises(StartError, match="no leader's state"):
        backup_to(data, tmp_path / "b", NOON)


async def test_a_damaged_database_is_not_called_a_backup(data: DataDir, tmp_path: Path):
    await a_leader(data, "a")
    with data.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(StartError):
        backup_to(data, tmp_path / "b", NOON)
    assert not (tmp_path / "b").exists()


async def refused(data: DataDir, file: Path, match: str) -> None:
    """Restoring `file` must fail and leave everything as it was."""
    await a_leader(data, "untouched")
    before = sorted(str(path) for path in data.root.rglob("*"))
    with pytest.raises(StartError, match=match):
        restore_from(file, data, NOON)
    assert sorted(str(path) for path in data.root.rglob("*")) == before
    assert await value_in(data) == "untouched"


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "agent/../../evil", "state.db/x", "sub/state.db", "config.yaml\n"]
)
async def test_a_name_that_leads_elsewhere_is_refused(data: DataDir, tmp_path: Path, name: str):
    file = archive(tmp_path / "b", {"manifest.json": manifest(), name: b"x"})
    await refused(data, file, "not a backup of flockpy")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE])
async def test_links_and_devices_are_refused(data: DataDir, tmp_path: Path, kind: bytes):
    await refused(data, archive(tmp_path / "b", {"state.db": b""}, kind), "not a backup of flockpy")


async def test_a_newer_schema_is_refused(data: DataDir, tmp_path: Path):
    file = archive(tmp_path / "b", {"manifest.json": manifest(schema="9999"), "state.db": b"of the future"})
    await refused(data, file, f"schema 9999.*up to {SCHEMA}")


async def test_a_newer_database_under_an_old_label_is_refused(data: DataDir, tmp_path: Path):
    await a_leader(data, "a")
    backup_to(data, tmp_path / "good", NOON)
    with tarfile.open(tmp_path / "good") as good:
        content = good.extractfile("state.db")
        assert content is not None
        file = archive(tmp_path / "b", {"manifest.json": manifest(schema="0001"), "state.db": content.read()})
    await refused(data, file, "not whole")


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({}, "not a backup"),
        ({"manifest.json": b"[]", "state.db": b"x"}, "not a backup"),
        ({"manifest.json": manifest(format=2), "state.db": b"x"}, "format 2"),
        ({"manifest.json": manifest()}, "damaged|not whole"),
        ({"manifest.json": manifest(), "state.db": b"not a database" * 1000}, "damaged"),
        ({"manifest.json": b" " * (2**20 + 1)}, "too large"),
    ],
)
async def test_what_is_no_backup_is_refused(
    data: DataDir, tmp_path: Path, members: dict[str, bytes], match: str
):
    await refused(data, archive(tmp_path / "b", members), match)


async def test_a_file_cut_short_is_refused(data: DataDir, tmp_path: Path):
    await a_leader(data, "a")
    backup_to(data, tmp_path / "b", NOON)
    content = (tmp_path / "b").read_bytes()
    (tmp_path / "b").write_bytes(content[: len(content) // 2])
    await refused(data, tmp_path / "b", "could not be restored")


async def test_a_file_twice_in_the_archive_is_refused(data: DataDir, tmp_path: Path):
    with tarfile.open(tmp_path / "b", "w:gz") as out:
        for content in (b"1", b"2"):
            member = tarfile.TarInfo("admin.key")
            member.size = 1
            out.addfile(member, io.BytesIO(content))
    await refused(data, tmp_path / "b", "could not be restored")


async def test_an_older_schema_is_restored_and_migrated_at_the_next_start(data: DataDir, tmp_path: Path):
    data.root.mkdir()
    schema.migrate(data.database, "0001")
    assert backup_to(data, tmp_path / "b", NOON).schema == "0001"
    elsewhere = DataDir(tmp_path / "elsewhere")
    restore_from(tmp_path / "b", elsewhere, NOON)
    assert await value_in(elsewhere) is None
    assert schema.read_version(elsewhere.database) == SCHEMA
    assert [path.name for path in elsewhere.backups.iterdir()] == [
        f"state-schema-0001-to-{SCHEMA}-20241004T120000Z.db"
    ]


async def test_the_copy_that_a_migration_left_goes_back_with_the_secrets_that_are_there(
    data: DataDir, tmp_path: Path
):
    await a_leader(data, "before")
    schema.copy(data.database, tmp_path / "copy.db")
    await a_leader(data, "after")
    aside = restore_from(tmp_path / "copy.db", data, NOON)
    assert await value_in(data) == "before"
    assert data.admin_key.read_text() == "key of after"
    assert aside is not None
    assert {path.name for path in aside.iterdir()} == {data.database.name, data.journal.name}


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"SQLite format 3\0" + b"x" * 9000])
async def test_a_broken_copy_is_refused(data: DataDir, tmp_path: Path, content: bytes):
    (tmp_path / "copy.db").write_bytes(content)
    await refused(data, tmp_path / "copy.db", "damaged|not whole")
