"""Agents that speak chat completions: Qwen Code, Continue, Aider, llm."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.stage import Stage
from tests.clients.workplace import Done, Workplace
from tests.simulators.strict_engine import MODEL, Script
from tests.simulators.tool_model import GREETING

pytestmark = [pytest.mark.every_client, pytest.mark.timeout(400)]
needs_node = pytest.mark.needs_program("node")

BOTH = "Please do flock-task:read:secret.txt,other.txt"
CONTINUE = """
name: flock
version: 1.0.0
schema: v1
models:
  - name: {model}
    provider: {provider}
    model: {model}
    apiBase: {url}/v1
    apiKey: {key}
    useResponsesApi: false
    roles: [chat]
    capabilities: [tool_use]
"""
LLM = """
- model_id: {model}
  model_name: {model}
  api_base: {url}/v1
  api_key_name: flock
  supports_tools: true
  supports_schema: true
"""
READ_FILE = 'def read_file(path: str) -> str:\n    "Read a file"\n    return open(path).read()\n'


def finished(stage: Stage, done: Done) -> str:
    """What a client printed, having had no refusal from the engine."""
    assert stage.engine.refusals == []
    assert done.code == 0, (done.out, done.err)
    return done.out


@needs_node
def test_qwen_code_reads_two_files(stage: Stage, work: Workplace, from_npm: Callable[[str], Path]) -> None:
    start = from_npm("qwen-code") / "node_modules" / "@qwen-code" / "qwen-code" / "cli.js"
    server = {"OPENAI_BASE_URL": f"{stage.url}/v1", "OPENAI_API_KEY": stage.key, "OPENAI_MODEL": MODEL}
    direct = dict.fromkeys(
        ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), ""
    )  # it ignores NO_PROXY
    stage.engine.play(Script(reasoning="I will look at both of them."))
    done = work.run(["node", start, "--auth-type", "openai", "-y", BOTH], **server, **direct)
    assert f"It says {work.secret} and {work.other}." in finished(stage, done)


@needs_node
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_continue_reads_two_files(
    stage: Stage, work: Workplace, from_npm: Callable[[str], Path], provider: str
) -> None:
    start = from_npm("continue") / "node_modules" / "@continuedev" / "cli" / "dist" / "cn.js"
    config = work.home / "config.yaml"
    config.write_text(CONTINUE.format(model=MODEL, provider=provider, url=stage.url, key=stage.key))
    done = work.run(["node", start, "--config", config, "--auto", "-p", BOTH], CONTINUE_TELEMETRY_ENABLED="0")
    assert f"It says {work.secret} and {work.other}." in finished(stage, done)


@pytest.mark.needs_program("git")
def test_aider_asks_for_a_file_and_writes_another(
    stage: Stage, work: Workplace, from_pypi: Callable[[str], Path]
) -> None:
    """It has no tools: the model names a file, Aider shows it, the model answers with an edit."""
    aider = from_pypi("aider") / "bin" / "aider"
    as_somebody = ("-c", "user.name=ann", "-c", "user.email=ann@example.com")
    for command in (["init", "-q"], ["add", "secret.txt"], [*as_somebody, "commit", "-qm", "begin"]):
        subprocess.run(["git", *command], cwd=work.folder, check=True)
    server = {"OPENAI_API_BASE": f"{stage.url}/v1", "OPENAI_API_KEY": stage.key}
    quiet = (
        "--yes-always",
        "--no-check-update",
        "--no-show-model-warnings",
        "--no-analytics",
        "--no-gitignore",
    )
    task = "Please do flock-task:edit:out.txt"
    argv = [aider, "--model", f"openai/{MODEL}", "--edit-format", "whole", *quiet, "--message", task]
    finished(stage, work.run(argv, timeout=120, **server))
    assert (work.folder / "out.txt").read_text().strip() == work.secret


def llm(stage: Stage, work: Workplace, folder: Path, *arguments: str) -> str:
    settings = work.home / "llm"
    settings.mkdir()
    (settings / "extra-openai-models.yaml").write_text(LLM.format(model=MODEL, url=stage.url))
    argv = [folder / "bin" / "llm", "prompt", "-m", MODEL, "--key", stage.key, *arguments]
    return finished(stage, work.run(argv, LLM_USER_PATH=str(settings)))


@pytest.mark.parametrize("way", ["--stream", "--no-stream"])
def test_llm_reads_two_files(
    stage: Stage, work: Workplace, from_pypi: Callable[[str], Path], way: str
) -> None:
    streamed = () if way == "--stream" else (way,)
    said = llm(stage, work, from_pypi("llm"), "--functions", READ_FILE, *streamed, BOTH)
    assert f"It says {work.secret} and {work.other}." in said


def test_llm_gets_an_answer_of_its_schema(
    stage: Stage, work: Workplace, from_pypi: Callable[[str], Path]
) -> None:
    said = llm(stage, work, from_pypi("llm"), "--schema", "name, age int", "hello")
    assert json.loads(said) == {"name": GREETING, "age": 1}
