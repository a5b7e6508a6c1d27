"""Agents that speak chat completions: Qwen Code, Continue, Aider, llm."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.agents import Server
from tests.clients.chat_agents import READ_FILE, run_aider, run_continue, run_llm, run_qwen_code
from tests.clients.stage import Stage
from tests.clients.workplace import Done, Workplace
from tests.simulators.strict_engine import MODEL, Script
from tests.simulators.tool_model import GREETING

pytestmark = [pytest.mark.every_client, pytest.mark.timeout(400)]
needs_node = pytest.mark.needs_program("node")

BOTH = "Please do flock-task:read:secret.txt,other.txt"


@pytest.fixture
def server(stage: Stage) -> Server:
    return Server(stage.url, stage.key, MODEL)


def finished(stage: Stage, done: Done) -> str:
    """What a client printed, having had no refusal from the engine."""
    assert stage.engine.refusals == []
    assert done.code == 0, (done.out, done.err)
    return done.out


@needs_node
def test_qwen_code_reads_two_files(
    stage: Stage, server: Server, work: Workplace, from_npm: Callable[[str], Path]
) -> None:
    stage.engine.play(Script(reasoning="I will look at both of them."))
    done = run_qwen_code(from_npm("qwen-code"), work, server, BOTH)
    assert f"It says {work.secret} and {work.other}." in finished(stage, done)


@needs_node
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_continue_reads_two_files(
    stage: Stage, server: Server, work: Workplace, from_npm: Callable[[str], Path], provider: str
) -> None:
    done = run_continue(from_npm("continue"), work, server, BOTH, provider)
    assert f"It says {work.secret} and {work.other}." in finished(stage, done)


@pytest.mark.needs_program("git")
def test_aider_asks_for_a_file_and_writes_another(
    stage: Stage, server: Server, work: Workplace, from_pypi: Callable[[str], Path]
) -> None:
    finished(stage, run_aider(from_pypi("aider"), work, server, "Please do flock-task:edit:out.txt"))
    assert (work.folder / "out.txt").read_text().strip() == work.secret


@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
def test_llm_reads_two_files(
    stage: Stage, server: Server, work: Workplace, from_pypi: Callable[[str], Path], way: str
) -> None:
    streamed = () if way == "--stream" else (way,)
    done = run_llm(from_pypi("llm"), work, server, BOTH, "--functions", READ_FILE, *streamed)
    assert f"It says {work.secret} and {work.other}." in finished(stage, done)


def test_llm_gets_an_answer_of_its_schema(
    stage: Stage, server: Server, work: Workplace, from_pypi: Callable[[str], Path]
) -> None:
    done = run_llm(from_pypi("llm"), work, server, "hello", "--schema", "name, age int")
    assert json.loads(finished(stage, done)) == {"name": GREETING, "age": 1}
