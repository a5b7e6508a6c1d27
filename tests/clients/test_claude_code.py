"""Claude Code, headless, over /v1/messages against an engine that only knows chat."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import Server, run_claude_code
from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import Script
from tests.timing import in_time, timed

pytestmark = [
    pytest.mark.needs_program("node"),
    pytest.mark.timeout(400),  # the first one installs
]


@dataclass(frozen=True, slots=True)
class ClaudeCode:
    stage: Stage
    work: Workplace
    package: Path

    def does(self, task: str, model: str = "strict") -> dict[str, Any]:
        """What it reports at the end of a task, having had no refusal from the engine."""
        server = Server(self.stage.url, self.stage.key, model)
        done = run_claude_code(self.package, self.work, server, task)
        assert self.stage.engine.refusals == []
        assert done.code == 0, (done.out, done.err)
        report: dict[str, Any] = json.loads(done.out)
        assert not report["is_error"], report
        return report


@pytest.fixture
def claude(stage: Stage, work: Workplace, from_npm: Callable[[str], Path]) -> ClaudeCode:
    return ClaudeCode(stage, work, from_npm("claude-code"))


def test_it_reads_a_file_with_its_shell(claude: ClaudeCode, work: Workplace) -> None:
    report = claude.does("Please do flock-task:read:secret.txt")
    assert report["result"] == f"It says {work.secret}."
    assert report["num_turns"] == 2
    assert report["usage"]["input_tokens"] > 0 < report["usage"]["output_tokens"]


def test_it_reads_two_files_at_once_while_the_model_thinks_aloud(claude: ClaudeCode, work: Workplace) -> None:
    claude.stage.engine.play(Script(reasoning="I will look at both of them.", split=1))
    report = claude.does("Please do flock-task:read:secret.txt,other.txt")
    assert report["result"] == f"It says {work.secret} and {work.other}."


def test_its_subagent_asks_for_haiku_and_gets_the_local_model(claude: ClaudeCode, work: Workplace) -> None:
    assert claude.does("Please do flock-task:delegate:secret.txt")["result"] == f"It says {work.secret}."
    assert len(claude.stage.engine.heard) == 4


def test_it_shows_a_picture_to_the_model(claude: ClaudeCode, work: Workplace) -> None:
    assert claude.does(f"Please do flock-task:look:{work.picture}")["result"] == f"It says {work.digest}."


def test_it_counts_its_context_without_generating(claude: ClaudeCode) -> None:
    assert "Context Usage" in claude.does("/context")["result"]
    assert claude.stage.engine.heard == []


def test_models_of_anthropic_are_the_local_one(claude: ClaudeCode, work: Workplace) -> None:
    for model in ("opus", "sonnet", "haiku"):
        assert (
            claude.does("Please do flock-task:read:secret.txt", model)["result"] == f"It says {work.secret}."
        )


@pytest.mark.parametrize(
    ("key", "model", "said"),
    [("wrong", "strict", "401"), ("poor", "strict", "quota"), ("good", "nobody", "nobody")],
)
@timed
def test_what_cannot_be_mended_by_trying_again_ends_it_at_once(
    claude: ClaudeCode, stage: Stage, work: Workplace, key: str, model: str, said: str
) -> None:
    """It tries a bad key for most of a minute unless it is told not to."""
    keys = {"wrong": "flk_nonsense", "good": stage.key}
    if key == "poor":
        keys["poor"] = stage.program.create_key("poor", daily_token_quota=5)
    since = time.monotonic()
    done = run_claude_code(claude.package, work, Server(stage.url, keys[key], model), "hello")
    took = time.monotonic() - since
    report = json.loads(done.out)
    assert report["is_error"]
    assert said in report["result"]
    assert stage.engine.heard == []
    in_time(took, 15)


@pytest.mark.parametrize("omitted", ["finish_reason", "usage", "role", "done", "index", "id", "type"])
def test_it_gets_what_an_engine_leaves_out(claude: ClaudeCode, work: Workplace, omitted: str) -> None:
    claude.stage.engine.play(Script(omits=frozenset({omitted})))
    said = claude.does("Please do flock-task:read:secret.txt,other.txt")["result"]
    assert said == f"It says {work.secret} and {work.other}."
