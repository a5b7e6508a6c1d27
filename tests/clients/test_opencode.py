"""OpenCode, headless, over each of its three wires."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.agents import Server, run_opencode
from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import MODEL, Script

pytestmark = [pytest.mark.every_client, pytest.mark.needs_program("node"), pytest.mark.timeout(400)]

WIRES = ("@ai-sdk/openai-compatible", "@ai-sdk/openai", "@ai-sdk/anthropic")


@dataclass(frozen=True, slots=True)
class OpenCode:
    stage: Stage
    work: Workplace
    package: Path
    wire: str

    def does(self, task: str) -> str:
        """What it prints during a task, having had no refusal from the engine."""
        server = Server(self.stage.url, self.stage.key, MODEL)
        done = run_opencode(self.package, self.work, server, task, self.wire)
        assert self.stage.engine.refusals == []
        assert done.code == 0, (done.out, done.err)
        return done.out


@pytest.fixture(params=WIRES)
def opencode(
    request: pytest.FixtureRequest, stage: Stage, work: Workplace, from_npm: Callable[[str], Path]
) -> OpenCode:
    return OpenCode(stage, work, from_npm("opencode"), request.param)


def test_it_reads_two_files_at_once_while_the_model_thinks_aloud(opencode: OpenCode, work: Workplace) -> None:
    opencode.stage.engine.play(Script(reasoning="I will look at both of them."))
    said = opencode.does("Please do flock-task:read:secret.txt,other.txt")
    assert f"It says {work.secret} and {work.other}." in said


def test_it_shows_a_picture_to_the_model(opencode: OpenCode, work: Workplace) -> None:
    assert f"It says {work.digest}." in opencode.does(f"Please do flock-task:look:{work.picture}")
