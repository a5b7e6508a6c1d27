"""The program as a process: quick answers, completion, colour."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from flockpy.version import VERSION


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


def on_a_terminal(home: Path, *words: str, **environ: str) -> str:
    main, side = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm", **environ}
    command = [sys.executable, "-m", "flockpy.cli.main", *words]
    with subprocess.Popen(command, env=environment, stdin=side, stdout=side, stderr=side) as process:
        os.close(side)
        seen = b""
        try:
            while chunk := os.read(main, 4096):
                seen += chunk
        except OSError:
            pass  # the other side is closed
        process.wait(30)
    os.close(main)
    return seen.decode()


def test_colour_is_for_terminals_and_can_be_switched_off(tmp_path: Path):
    assert "\x1b[3" in on_a_terminal(tmp_path, "doctor")
    assert "\x1b[3" not in on_a_terminal(tmp_path, "doctor", NO_COLOR="1")
    assert "\x1b[3" not in on_a_terminal(tmp_path, "doctor", FLOCK_NO_COLOR="1")
