"""Clients through the whole program to a real llama.cpp, whose tiny model calls one tool and then says one thing.

It cannot say what the tool has told it; that the tool has run is seen by what it left behind.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.agents import Server, run_claude_code, run_codex
from tests.clients.programs import run_against
from tests.clients.workplace import Workplace
from tests.cluster.program import Program, running
from tests.tiny_models import tiny_model

pytestmark = pytest.mark.timeout(400)  # the first one installs

COPY = "cp secret.txt proof.txt"
CALLS = {
    "reader": {"name": "read_file", "arguments": {"path": "secret.txt"}},
    "claude": {"name": "Bash", "arguments": {"command": COPY}},
    "codex": {"name": "exec_command", "arguments": {"cmd": COPY}},
}
SAID = "Hello! The quick brown fox jumps over a lazy dog."
CHECKS = [
    f"{surface}-{way}" for surface in ("chat", "responses", "messages") for way in ("whole", "streamed")
]
LONG = 32_768
"""These models read a byte or two with each token."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("llama")) as program:
        for name, call in CALLS.items():
            path = tiny_model(mode="agent", tool_call=json.dumps(call), text=SAID, layers=1, context=LONG)
            program.add_model(path, name)
        yield program


@pytest.mark.parametrize("name", ["sdk_python.py", "sdk_js.mjs"])
def test_the_sdks_run_their_tool_loop_over_each_protocol(
    program: Program,
    tmp_path: Path,
    from_npm: Callable[[str], Path],
    from_pypi: Callable[[str], Path],
    name: str,
) -> None:
    client = (from_npm if name.endswith(".mjs") else from_pypi)("sdk-current")
    said = run_against(program, "reader", tmp_path, name, client, [*CHECKS, "counted"])
    assert {check: said.checks[check] for check in CHECKS} == dict.fromkeys(CHECKS, SAID)
    assert (said.work.folder / "read.txt").read_text() == f"{said.work.secret}\n" * len(CHECKS)
    before, billed = said.of("counted").split()
    assert before == billed


@pytest.mark.needs_program("node")
def test_claude_code_runs_its_shell(
    program: Program, work: Workplace, from_npm: Callable[[str], Path]
) -> None:
    server = Server(program.url, program.key, "claude")
    small = ("--tools", "Bash", "--system-prompt", "Be brief.")
    done = run_claude_code(from_npm("claude-code"), work, server, "hello", *small)
    assert done.code == 0, (done.out, done.err)
    assert json.loads(done.out)["result"] == SAID
    assert (work.folder / "proof.txt").read_text() == work.secret + "\n"


@pytest.mark.needs_program("node")
def test_codex_runs_its_shell(program: Program, work: Workplace, from_npm: Callable[[str], Path]) -> None:
    brief = work.home / "brief.md"
    brief.write_text("Be brief.")
    # A quarter of its usual prompt, which a processor takes a minute to read.
    settings = [f'model_instructions_file="{brief}"', 'web_search="disabled"']
    settings += ["features.multi_agent=false", "features.goals=false"]
    small = [word for setting in settings for word in ("-c", setting)]
    server = Server(program.url, program.key, "codex")
    done = run_codex(from_npm("codex"), work, server, "hello", *small)
    assert done.code == 0, (done.out, done.err)
    assert (work.home / "last.txt").read_text() == SAID
    assert (work.folder / "proof.txt").read_text() == work.secret + "\n"
