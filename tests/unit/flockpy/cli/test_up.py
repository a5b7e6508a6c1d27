"""`flockpy up` until it hands over to the parent."""

import json
import socket
from pathlib import Path

import pytest

from flockpy.lockfile import Lock, acquire
from flockpy.paths import DataDir
from flockpy.settings import prepare_data_dir
from tests.ports import free_port
from tests.unit.flockpy.cli.conftest import Flockpy
from tests.unit.flockpy.cli.stub_household import environment
from tests.unit.flockpy.cli.stub_leader import StubLeader
from tests.unit.flockpy.cli.terminal import on_a_terminal


def test_the_first_start_on_a_terminal_offers_to_add_a_model(tmp_path: Path):
    model = tmp_path / "some.gguf"
    model.touch()
    port = free_port()
    typed = [("Path (Enter", "nowhere.gguf\r"), ("is no file", f"{model}\r"), ("added m", "\x03")]
    environ = environment(tmp_path, port)
    seen = on_a_terminal(tmp_path, "up", "--listen", f":{port}", typed=typed, cwd=tmp_path, **environ)
    assert json.loads((tmp_path / "posted").read_bytes())["ref"] == f"file:{model}"
    assert "stopping" in seen
    assert "\x1b[1mflockpy is ready." in seen
    assert (tmp_path / "stops").read_text().split() == ["leader", "agent"]


def test_a_port_in_use_is_told_with_another(flockpy: Flockpy):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = flockpy("up", "--listen", f":{port}")
    assert ran.code == 1
    assert f"port {port} is in use" in ran.err
    assert "flockpy up --listen :" in ran.err


def test_a_wrong_flag_names_the_flag(flockpy: Flockpy):
    ran = flockpy("up", "--listen", "nowhere")
    assert ran.code == 1
    assert "--listen: `listen`: 'nowhere' is not [host]:port" in ran.err


def test_an_open_door_needs_to_be_forced(flockpy: Flockpy, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FLOCK_REQUIRE_KEYS", "false")
    ran = flockpy("up", "--listen", "0.0.0.0:23050")
    assert ran.code == 1
    assert "--force-open" in ran.err


def test_one_that_runs_already_is_shown(flockpy: Flockpy, leader: StubLeader, home: Path):
    data = DataDir(home / ".flock")
    prepare_data_dir(data)
    held = acquire(data.up_lock)
    assert isinstance(held, Lock)
    leader.answers["GET /status"] = (200, {"version": "1"})
    leader.items("/nodes")
    leader.items("/models")
    ran = flockpy("up")
    assert ran.code == 0
    assert "already running" in ran.err
    assert leader.url in ran.out
    leader.answers["GET /status"] = (503, {"error": {"code": "overloaded", "message": "starting"}})
    ran = flockpy("up")
    assert (ran.code, ran.out) == (0, "")
    assert "it is not ready: starting" in ran.err
    held.release()


def test_commands_find_the_leader_where_it_was_started(
    flockpy: Flockpy, leader: StubLeader, home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("FLOCK_EXTERNAL_URL")
    monkeypatch.setenv("FLOCK_LISTEN", f":{free_port()}")
    data = DataDir(home / ".flock")
    prepare_data_dir(data)
    data.address.write_text(f"{leader.url}\n")
    leader.items("/models")
    assert flockpy("model", "ls").code == 1, "an address that was left behind is not believed"
    held = acquire(data.up_lock)
    assert isinstance(held, Lock)
    assert flockpy("model", "ls").code == 0
    held.release()


def test_a_leader_that_is_still_ending_is_not_taken_for_a_foreign_program(flockpy: Flockpy, home: Path):
    data = DataDir(home / ".flock")
    prepare_data_dir(data)
    held = acquire(data.leader_lock)
    assert isinstance(held, Lock)
    assert "still ending" in flockpy("up").err
    held.release()
