"""The lock of a data directory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flockpy.errors import StartError
from flockpy.lockfile import Held, Lock, acquire, hold, holder


def test_a_lock_that_is_held_tells_who_holds_it(tmp_path: Path):
    path = tmp_path / "up.lock"
    lock = acquire(path)
    assert isinstance(lock, Lock)
    assert acquire(path) == Held(os.getpid())
    assert holder(path) == Held(os.getpid())
    lock.release()
    assert holder(path) is None


def test_who_cannot_run_without_it_is_told_why_it_cannot_have_it(tmp_path: Path):
    lock = hold(tmp_path / "agent.lock", "an agent")
    with pytest.raises(StartError, match=f"an agent already runs on this data: process {os.getpid()} holds"):
        hold(tmp_path / "agent.lock", "an agent")
    with pytest.raises(StartError, match="cannot be written: No such file"):
        hold(tmp_path / "missing" / "agent.lock", "an agent")
    lock.release()


def test_looking_takes_nothing(tmp_path: Path):
    path = tmp_path / "up.lock"
    assert holder(path) is None
    assert not path.exists()


def test_the_file_is_for_its_owner_only(tmp_path: Path):
    lock = acquire(tmp_path / "up.lock")
    assert isinstance(lock, Lock)
    assert lock.path.stat().st_mode & 0o777 == 0o600
    lock.release()


def test_a_leftover_file_means_nothing(tmp_path: Path):
    path = tmp_path / "up.lock"
    path.write_text("12345\n")
    assert holder(path) is None
    assert isinstance(acquire(path), Lock)
    assert path.read_text() == f"{os.getpid()}\n"


def test_the_lock_of_a_killed_process_is_free_even_while_its_child_lives(tmp_path: Path):
    path = tmp_path / "up.lock"
    code = (
        "import subprocess, sys, pathlib; from flockpy.lockfile import acquire\n"
        f"lock = acquire(pathlib.Path({str(path)!r}))\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=0)\n"
        "print('held', flush=True); child.wait()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert holder(path) == Held(process.pid)
        process.kill()
        process.wait()
        assert holder(path) is None
