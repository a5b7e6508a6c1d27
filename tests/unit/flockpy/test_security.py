"""Files that only their owner may read."""

import stat
from pathlib import Path

import pytest

from flockpy.ids import KEY_PREFIX
from flockpy.security import private_dir, redact, write_private


@pytest.mark.parametrize(
    ("kept", "secret"),
    [
        (f"{KEY_PREFIX}abcd", "efghijklmnopqrstuvwxyz"),
        ("sk-ant-", "api03-abcdefghijk_lmnop-AA"),
        ("sk-proj-", "abc_def-ghijklmnop"),
        ("sk-svcacct-", "abcdefghijklmnop"),
        ("sk-", "abcdefghijklmnopqrstuvwxyz0123"),
        ("AKIA", "IOSFODNN7EXAMPLE"),
        ("ASIA", "IOSFODNN7EXAMPLE"),
        ("AIza", "SyA-1234567890_abcdefghijklmnopqrst"),
        ("ya29.", "a0AfH6SMBx-abc_def.ghi"),
        ("ABSK", "QmVkcm9ja0FQSUtleS1hYmM+/="),
    ],
)
@pytest.mark.parametrize("around", ["{}", "key={}, next", "'{}'", "a {} b", "({})"])
def test_a_key_is_cut_to_what_tells_its_kind(kept: str, secret: str, around: str):
    assert redact(around.format(kept + secret)) == around.format(kept + "…")


@pytest.mark.parametrize(
    "text", ["sk-", "sk-orc", "task-ant-colony", "AKIA", "the desk-projector", "ya29", "risk-free"]
)
def test_what_is_no_key_stands_as_it_is(text: str):
    assert redact(text) == text


def test_a_private_file_is_replaced_whole_and_for_its_owner_only(tmp_path: Path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path: Path):
    path = tmp_path / "secret"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_parent_of_a_private_directory_is_open_to_others(tmp_path: Path):
    private_dir(tmp_path / "a" / "b")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")] == [
        0o700
    ] * 2
