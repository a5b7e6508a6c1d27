"""`flockpy model …` on GGUF files, against the running program."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.program import Program, running
from tests.tiny_models import tiny_model


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("models")) as started:
        yield started


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model file."""
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copy(tiny_model(mode="text"), folder / "talker.gguf")
    return folder


def say(program: Program, *arguments: str) -> str:
    """What a command that succeeds says on standard output."""
    done = program.cli("model", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def engines_of(program: Program, model: str) -> int:
    return sum(model in engine.cmdline() for engine in program.engines())


def test_a_file_goes_through_its_whole_life_by_commands(program: Program, shelf: Path):
    file = shelf / "talker.gguf"
    found = program.cli_json("model", "scan", str(shelf))
    assert [(item["path"], item["installed"]) for item in found["items"]] == [(str(file), False)]
    assert "added talker" in say(program, "add", f"file:{file}", "--id", "talker")
    assert [item["installed"] for item in program.cli_json("model", "scan", str(shelf))["items"]] == [True]
    assert program.model_state("talker") == "installed"
    assert engines_of(program, "talker") == 0

    assert "loaded talker" in say(program, "load", "talker")
    assert engines_of(program, "talker") == 1
    (row,) = [line for line in say(program, "ls").splitlines() if line.startswith("talker")]
    assert "serving" in row
    shown = say(program, "info", "talker")
    assert "4096 tokens" in shown
    assert "ready" in shown
    assert program.chat("talker").json()["choices"][0]["message"]["content"].startswith("Hello!")

    assert "unloaded talker" in say(program, "unload", "talker")
    assert engines_of(program, "talker") == 0
    assert program.chat("talker").status_code == 200  # on demand

    assert "removed talker" in say(program, "remove", "talker", "--yes")
    assert program.model_state("talker") == "absent"
    assert program.chat("talker").status_code == 404
    assert file.exists()


def test_what_cannot_be_says_why_and_what_to_do(program: Program, tmp_path: Path):
    for arguments, part in (
        (("add", f"file:{tmp_path / 'none.gguf'}"), "no such file"),
        (("load", "nobody"), "nobody"),
        (("info", "nobody"), "nobody"),
        (("remove", "nobody", "--yes"), "nobody"),
        (("scan", str(tmp_path / "nowhere")), "no"),
    ):
        done = program.cli("model", *arguments)
        assert done.returncode != 0, arguments
        assert part in done.stderr
        assert "Traceback" not in done.stderr
