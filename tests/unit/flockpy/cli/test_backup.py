"""Backup and restore by command."""

import sqlite3
from pathlib import Path

import pytest

from controlplane.store.db import open_database
from flockpy.clock import SystemClock
from flockpy.lockfile import Lock, acquire
from flockpy.paths import DataDir
from flockpy.settings import prepare_data_dir
from tests.unit.flockpy.cli.conftest import Flockpy


@pytest.fixture
async def data(home: Path) -> DataDir:
    """A leader's data directory, with a state in it and an admin key."""
    data = DataDir(home / ".flock")
    prepare_data_dir(data)
    database = await open_database(data.database, data.backups, SystemClock())
    await database.close()
    data.admin_key.write_text("one")
    return data


def test_what_was_backed_up_comes_back(flockpy: Flockpy, data: DataDir, tmp_path: Path):
    file = tmp_path / "flock.backup"
    ran = flockpy("backup", str(file))
    assert ran.code == 0, ran.err
    assert file.stat().st_mode & 0o777 == 0o600
    data.admin_key.write_text("two")
    ran = flockpy("restore", str(file), "--yes")
    assert ran.code == 0, ran.err
    assert data.admin_key.read_text() == "one"
    with sqlite3.connect(data.database) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
    database.close()


def test_restore_asks_first(flockpy: Flockpy, data: DataDir, tmp_path: Path):
    file = tmp_path / "flock.backup"
    flockpy("backup", str(file))
    assert flockpy("restore", str(file)).code == 2


@pytest.mark.parametrize("lock", ["up_lock", "leader_lock"])
def test_restore_refuses_while_a_leader_runs(flockpy: Flockpy, data: DataDir, tmp_path: Path, lock: str):
    file = tmp_path / "flock.backup"
    flockpy("backup", str(file))
    held = acquire(getattr(data, lock))
    assert isinstance(held, Lock)
    ran = flockpy("restore", str(file), "--yes")
    assert ran.code == 1
    assert "a leader runs here" in ran.err
    assert "flockpy down" in ran.err
    held.release()


def test_backup_without_a_state_and_restore_without_a_file_say_so(flockpy: Flockpy, tmp_path: Path):
    assert "flockpy up" in flockpy("backup", str(tmp_path / "x")).err
    assert "is no file" in flockpy("restore", str(tmp_path / "x"), "--yes").err
