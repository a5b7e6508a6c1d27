"""Codex, headless, over /v1/responses against an engine that only knows chat."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.agents import Server, run_codex
from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import GPT, MODEL, Script
from tests.timing import in_time, timed

pytestmark = [
    pytest.mark.needs_program("node"),
    pytest.mark.timeout(400),  # the first one installs
]


@dataclass(frozen=True, slots=True)
class Codex:
    stage: Stage
    work: Workplace
    package: Path

    def does(self, task: str, model: str = "strict") -> str:
        """What it says at the end of a task, having had no refusal from the engine."""
        server = Server(self.stage.url, self.stage.key, model)
        done = run_codex(self.package, self.work, server, task)
        assert self.stage.engine.refusals == []
        assert done.code == 0, (done.out, done.err)
        return (self.work.home / "last.txt").read_text()


@pytest.fixture
def codex(stage: Stage, work: Workplace, from_npm: Callable[[str], Path]) -> Codex:
    return Codex(stage, work, from_npm("codex"))


def test_it_reads_a_file_with_its_shell(codex: Codex, work: Workplace) -> None:
    assert codex.does("Please do flock-task:read:secret.txt") == f"It says {work.secret}."


def test_it_reads_two_files_at_once_while_the_model_thinks_aloud(codex: Codex, work: Workplace) -> None:
    codex.stage.engine.play(Script(reasoning="I will look at both of them.", split=1))
    said = codex.does("Please do flock-task:read:secret.txt,other.txt")
    assert said == f"It says {work.secret} and {work.other}."


def test_its_subagent_reads_a_file(codex: Codex, work: Workplace) -> None:
    """The tools for it are in a namespace."""
    assert codex.does("Please do flock-task:delegate:secret.txt") == f"It says {work.secret}."


def test_it_takes_a_patch_that_is_no_json(codex: Codex, work: Workplace) -> None:
    assert codex.does("Please do flock-task:patch:secret.txt", GPT) == f"It says {work.secret}."
    assert (work.folder / "patched.txt").read_text() == work.secret + "\n"


def test_it_shows_a_picture_to_the_model(codex: Codex, work: Workplace) -> None:
    assert codex.does(f"Please do flock-task:look:{work.picture}") == f"It says {work.digest}."


@pytest.mark.parametrize(("key", "model", "said"), [("poor", MODEL, "Quota"), ("good", "nobody", "nobody")])
@timed
def test_what_cannot_be_mended_by_trying_again_ends_it_soon(
    codex: Codex, stage: Stage, work: Workplace, key: str, model: str, said: str
) -> None:
    """It would wait for as long as it is told to, though that were until tomorrow."""
    known = stage.program.create_key("poor coder", daily_token_quota=5) if key == "poor" else stage.key
    since = time.monotonic()
    done = run_codex(codex.package, work, Server(stage.url, known, model), "hello")
    took = time.monotonic() - since
    assert done.code == 1
    assert said in done.out
    assert stage.engine.heard == []
    in_time(took, 30)


@pytest.mark.parametrize("omitted", ["finish_reason", "usage", "role", "done", "index", "id", "type"])
def test_it_gets_what_an_engine_leaves_out(codex: Codex, work: Workplace, omitted: str) -> None:
    codex.stage.engine.play(Script(omits=frozenset({omitted})))
    said = codex.does("Please do flock-task:read:secret.txt,other.txt")
    assert said == f"It says {work.secret} and {work.other}."
