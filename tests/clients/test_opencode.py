"""OpenCode, headless, over each of its three wires."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import CONTEXT, MODEL, Fault, Script

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
        config = self.work.home / "opencode.json"
        config.write_text(json.dumps(self.config()))
        # Built for each platform; the variant for old processors runs on all of them.
        start = next(self.package.glob("node_modules/opencode-*-baseline/bin/opencode"), None) or next(
            self.package.glob("node_modules/opencode-*/bin/opencode")
        )
        off = {f"OPENCODE_DISABLE_{what}": "1" for what in ("MODELS_FETCH", "AUTOUPDATE")}
        done = self.work.run([start, "run", task], timeout=100, OPENCODE_CONFIG=str(config), **off)
        assert self.stage.engine.refusals == []
        assert done.code == 0, (done.out, done.err)
        return done.out

    def config(self) -> dict[str, Any]:
        able = {"attachment": True, "tool_call": True, "reasoning": True}
        sees = {"modalities": {"input": ["text", "image"], "output": ["text"]}}
        model = {"name": MODEL, "limit": {"context": CONTEXT, "output": 32_000}, **able, **sees}
        options = {"baseURL": f"{self.stage.url}/v1", "apiKey": self.stage.key}
        provider = {"npm": self.wire, "name": "flock", "options": options, "models": {MODEL: model}}
        names = dict.fromkeys(("model", "small_model"), f"flock/{MODEL}")
        return {"provider": {"flock": provider}, **names, "share": "disabled", "autoupdate": False}


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


def test_it_recovers_from_an_engine_that_dies_in_the_middle(opencode: OpenCode, work: Workplace) -> None:
    opencode.stage.engine.play(Script(fault=Fault("reset", after=4)))
    assert f"It says {work.secret}." in opencode.does("Please do flock-task:read:secret.txt")
