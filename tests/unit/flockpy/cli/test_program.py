"""The program as a process: quick answers, completion, colour."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flockpy.version import VERSION
from tests.unit.flockpy.cli.stub_leader import stub_leader
from tests.unit.flockpy.cli.terminal import on_a_terminal


def flockpy(*words: str, home: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flockpy.cli.main", *words]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **environ}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def modules_of(*words: str) -> set[str]:
    code = (
        "import sys; from flockpy.cli import main\n"
        f"sys.argv[1:] = {list(words)!r}\n"
        "try: main.main()\nexcept SystemExit: print(*sorted(sys.modules), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(ran.stderr.split())


def test_the_version_is_told_without_loading_anything():
    assert not modules_of("version") & {"typer", "msgspec", "rich", "httpx", "asyncio", "yaml"}


def test_help_loads_nothing_heavy():
    assert not modules_of("--help") & {
        "httpx",
        "rich",
        "asyncio",
        "yaml",
        "prompt_toolkit",
        "psutil",
        "litestar",
    }


def test_the_version(tmp_path: Path):
    assert flockpy("version", home=tmp_path).stdout == f"flockpy {VERSION}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(tmp_path: Path, shell: str):
    ran = flockpy("completion", shell, home=tmp_path)
    assert ran.returncode == 0
    assert "flockpy" in ran.stdout
    assert ran.stderr == ""


def test_completion_knows_the_commands(tmp_path: Path):
    words = {"_FLOCKPY_COMPLETE": "complete_bash", "COMP_WORDS": "flockpy model ", "COMP_CWORD": "2"}
    assert set(flockpy(home=tmp_path, **words).stdout.split()) >= {"ls", "add", "info", "remove", "scan"}


def test_an_id_that_was_not_given_is_picked_by_a_few_letters_of_it(tmp_path: Path):
    models = [
        {"id": name, "state": "installed", "size_bytes": 1}
        for name in ("qwen-coder-7b", "llama-3b", "gemma-2b")
    ]
    with stub_leader() as leader:
        leader.items("/models", *models)
        leader.answers["POST /models/qwen-coder-7b/load"] = (200, {})
        keys = [("model:", "qc7"), (";4mq", "\t"), ("wen-coder-7b\x1b[0m", "\r")]
        seen = on_a_terminal(tmp_path, "model", "load", typed=keys, FLOCK_EXTERNAL_URL=leader.url)
        assert len(leader.bodies("POST /models/qwen-coder-7b/load")) == 1, seen


def test_a_question_is_asked_on_a_terminal_and_no_means_no(tmp_path: Path):
    with stub_leader() as leader:
        leader.items("/models", {"id": "m", "state": "installed", "size_bytes": 1})
        typed = [("Remove m?", "n\n")]
        on_a_terminal(tmp_path, "model", "remove", "m", typed=typed, FLOCK_EXTERNAL_URL=leader.url)
        assert not leader.bodies("DELETE /models/m")


def test_colour_is_for_terminals_and_can_be_switched_off(tmp_path: Path):
    assert "\x1b[3" in on_a_terminal(tmp_path, "doctor")
    assert "\x1b[3" not in on_a_terminal(tmp_path, "doctor", NO_COLOR="1")
    assert "\x1b[3" not in on_a_terminal(tmp_path, "doctor", FLOCK_NO_COLOR="1")
