"""The files of a client on disk: written for their owner alone, taken back to the byte, never half done."""

import errno
from pathlib import Path

import pytest

from flockpy.clients.catalog import load_clients
from flockpy.clients.files import BACKUP, ConnectedFiles
from flockpy.clients.render import Settings
from flockpy.clients.render import settings as settings_of
from flockpy.errors import StartError
from flockpy.security import write_private
from tests.unit.flockpy.clients.makers import JSON_FILES, TOML_FILES, YAML_FILES, connection

CLIENTS = load_clients()


def _settings(home: Path, client: str, model: str = "auto") -> tuple[Settings, ...]:
    return settings_of(CLIENTS[client], connection(str(home), chosen=model))


def _files(home: Path) -> ConnectedFiles:
    return ConnectedFiles(home / ".flock" / "clients" / "x.json")


def _tree(home: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below `home` but flockpy's own, with its bytes and mode."""
    return {
        str(path.relative_to(home)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in home.rglob("*")
        if path.is_file() and ".flock" not in path.parts
    }


CASES = [
    *(pytest.param("opencode", text, id=f"json-{number}") for number, text in enumerate(JSON_FILES)),
    *(pytest.param("codex-cli", text, id=f"toml-{number}") for number, text in enumerate(TOML_FILES)),
    *(pytest.param("hermes", text, id=f"yaml-{number}") for number, text in enumerate(YAML_FILES)),
]


@pytest.mark.parametrize(("client", "text"), CASES)
def test_disconnecting_gives_the_file_back_to_the_byte(tmp_path: Path, client: str, text: str):
    one = _settings(tmp_path, client)[0]
    path = Path(one.path)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode())
    path.chmod(0o644)
    before = _tree(tmp_path)
    files = _files(tmp_path)
    assert {outcome.did for outcome in files.connect(_settings(tmp_path, client))} == {"written"}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.with_name(path.name + BACKUP).read_bytes() == text.encode()
    assert files.disconnect()[0].did == "restored"
    assert _tree(tmp_path) == before
    assert not files.connected


@pytest.mark.parametrize("client", [id for id, client in CLIENTS.items() if client.files])
def test_connecting_twice_changes_nothing_and_disconnecting_leaves_nothing(tmp_path: Path, client: str):
    files = _files(tmp_path)
    files.connect(_settings(tmp_path, client))
    first = _tree(tmp_path)
    assert all(mode == 0o600 for _, mode in first.values())
    times = {path: (tmp_path / path).stat().st_mtime_ns for path in first}
    assert {outcome.did for outcome in files.connect(_settings(tmp_path, client))} == {"unchanged"}
    assert times == {path: (tmp_path / path).stat().st_mtime_ns for path in first}
    assert {outcome.did for outcome in files.disconnect()} == {"removed"}
    assert [path.name for path in tmp_path.iterdir()] == [".flock"]


@pytest.mark.parametrize("edited_between", [False, True])
def test_connecting_with_another_model_still_restores_what_was_before(tmp_path: Path, edited_between: bool):
    path = tmp_path / ".codex" / "config.toml"
    path.parent.mkdir()
    path.write_text('model = "gpt"\n\n[tui]\ntheme = "dark"\n')
    files = _files(tmp_path)
    files.connect(_settings(tmp_path, "codex-cli"))
    if edited_between:
        path.write_text(path.read_text().replace('"dark"\n', '"dark"\nanimations = false\n'))
    files.connect(_settings(tmp_path, "codex-cli", "qwen3"))
    assert 'model = "qwen3"' in path.read_text()
    files.disconnect()
    lines = path.read_text().splitlines()
    assert [line for line in lines if line] == [
        'model = "gpt"', "[tui]", 'theme = "dark"', *(["animations = false"] if edited_between else []),
    ]  # fmt: skip


def test_what_a_person_added_and_changed_later_stays(tmp_path: Path):
    path = tmp_path / ".config" / "opencode" / "opencode.json"
    path.parent.mkdir(parents=True)
    path.write_text('{\n  // mine\n  "model": "mine",\n  "theme": "dark"\n}\n')
    files = _files(tmp_path)
    files.connect(_settings(tmp_path, "opencode"))
    path.write_text(
        path.read_text().replace('"theme": "dark"', '"theme": "light"').replace("flockpy/auto", "other/x", 1)
    )
    (outcome,) = files.disconnect()
    assert (outcome.did, outcome.kept) == ("cleaned", ("model",))
    assert path.read_text() == '{\n  // mine\n  "model": "other/x",\n  "theme": "light"\n}\n'
    assert not path.with_name(path.name + BACKUP).exists()


def test_a_file_that_cannot_be_read_stops_everything_before_anything_is_written(tmp_path: Path):
    good = tmp_path / ".codex" / "flockpy-models.json"
    bad = tmp_path / ".codex" / "config.toml"
    bad.parent.mkdir()
    bad.write_text("model = \n")
    with pytest.raises(StartError, match=r"config\.toml:1: the file is no TOML"):
        _files(tmp_path).connect(_settings(tmp_path, "codex-cli")[::-1])
    assert bad.read_text() == "model = \n"
    assert not good.exists()
    bad.write_bytes(b"\xff")
    with pytest.raises(StartError, match="not UTF-8"):
        _files(tmp_path).connect(_settings(tmp_path, "codex-cli"))


def test_a_link_stays_a_link_and_another_name_of_the_file_is_taken(tmp_path: Path):
    real = tmp_path / "dotfiles" / "opencode.jsonc"
    real.parent.mkdir()
    real.write_text("{}\n")
    link = tmp_path / ".config" / "opencode" / "opencode.jsonc"
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    files = _files(tmp_path)
    files.connect(_settings(tmp_path, "opencode"))
    assert link.is_symlink()
    assert "flockpy" in real.read_text()
    assert not link.with_name("opencode.json").exists()
    files.disconnect()
    assert real.read_text() == "{}\n"


def test_a_file_that_is_gone_by_then_is_no_trouble(tmp_path: Path):
    files = _files(tmp_path)
    files.connect(_settings(tmp_path, "codex-cli"))
    (tmp_path / ".codex" / "config.toml").unlink()
    assert [outcome.did for outcome in files.disconnect()] == ["gone", "removed"]
    assert files.disconnect() == []


def test_what_was_there_already_is_not_ours_to_take(tmp_path: Path):
    files = _files(tmp_path)
    files.connect(_settings(tmp_path, "hermes"))
    (tmp_path / ".flock" / "clients" / "x.json").unlink()
    assert [outcome.did for outcome in files.connect(_settings(tmp_path, "hermes"))] == ["unchanged"]
    assert files.disconnect() == []
    assert (tmp_path / ".hermes" / "config.yaml").exists()


def test_a_disk_that_fills_half_way_leaves_nothing_that_disconnect_does_not_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = tmp_path / ".codex" / "config.toml"
    config.parent.mkdir()
    config.write_text('model = "mine"\n')
    before = _tree(tmp_path)

    def full(path: Path, text: str) -> None:
        if path.name == "flockpy-models.json":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_private(path, text)

    with monkeypatch.context() as patched:
        patched.setattr("flockpy.clients.files.write_private", full)
        with pytest.raises(StartError, match=r"flockpy-models.json cannot be written: No space"):
            _files(tmp_path).connect(_settings(tmp_path, "codex-cli"))
    assert "flockpy" in config.read_text()
    _files(tmp_path).disconnect()
    assert _tree(tmp_path) == before
