"""Clients that `flockpy connect --write` has set up, as a person would, do a task; then everything is as it was."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import MODEL

pytestmark = [pytest.mark.every_client, pytest.mark.timeout(400)]
needs_node = pytest.mark.needs_program("node")

TASK = "Please do flock-task:read:secret.txt"
NO_PROXY = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a home of their own, and a key."""

    stage: Stage
    work: Workplace

    def flockpy(self, *words: str) -> str:
        environ = {**self.stage.program.environ, "HOME": str(self.work.home)}
        environ["FLOCK_DATA_DIR"] = str(self.work.home / ".flock")
        environ["FLOCK_EXTERNAL_URL"] = self.stage.url
        done = self.stage.program.cli(*words, environ=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def connect(self, client: str) -> dict[str, str]:
        """Set a client up; answers the variables it needs in the shell."""
        settings = ("connect", client, "--token", self.stage.key, "--model", MODEL)
        shown: dict[str, Any] = json.loads(self.flockpy(*settings, "--json"))
        if not shown["files"]:
            return shown["env"]
        self.flockpy(*settings, "--write")
        return shown["env"] if client != "claude-code" else {}

    def finishes(self, argv: list[str | Path], **environ: str) -> None:
        done = self.work.run(argv, timeout=120, **environ)
        assert self.stage.engine.refusals == []
        assert done.code == 0, (done.out, done.err)
        assert f"It says {self.work.secret}." in done.out

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.work.home.rglob("*") if path.is_file() and ".flock" not in path.parts)
        return {str(path.relative_to(self.work.home)): path.read_bytes() for path in found}


@pytest.fixture
def person(stage: Stage, work: Workplace) -> Person:
    return Person(stage, work)


@needs_node
def test_codex_takes_the_list_of_models_and_does_a_task(
    person: Person, work: Workplace, from_npm: Callable[[str], Path]
) -> None:
    settings = work.home / ".codex" / "config.toml"
    settings.parent.mkdir()
    settings.write_text('# mine\nmodel = "gpt-5.5"\n\n[tui]\nnotifications = false\n')
    before = person.files()
    env = person.connect("codex-cli")
    start = from_npm("codex") / "node_modules" / "@openai" / "codex" / "bin" / "codex.js"
    free = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox")
    done = work.run(["node", start, "exec", *free, TASK], timeout=120, **env)
    assert done.code == 0, (done.out, done.err)
    assert f"It says {work.secret}." in done.out
    assert "metadata" not in done.err
    person.flockpy("disconnect", "codex-cli", "--write")
    assert settings.read_bytes() == before[".codex/config.toml"]
    assert not settings.with_name("flockpy-models.json").exists()


@needs_node
def test_claude_code_needs_no_variable_in_the_shell(
    person: Person, work: Workplace, from_npm: Callable[[str], Path]
) -> None:
    start = from_npm("claude-code") / "node_modules" / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"
    person.finishes(
        ["node", start, "-p", TASK, "--allowedTools", "Bash,Read"], **person.connect("claude-code")
    )
    person.flockpy("disconnect", "claude-code", "--write")
    assert not (work.home / ".claude" / "settings.json").exists()


@needs_node
def test_opencode_does_a_task(person: Person, from_npm: Callable[[str], Path]) -> None:
    env = person.connect("opencode")
    package = from_npm("opencode")
    start = next(package.glob("node_modules/opencode-*-baseline/bin/opencode"), None) or next(
        package.glob("node_modules/opencode-*/bin/opencode")
    )
    person.finishes([start, "run", TASK], OPENCODE_DISABLE_AUTOUPDATE="1", **env)


@needs_node
def test_qwen_code_needs_no_variable_in_the_shell(person: Person, from_npm: Callable[[str], Path]) -> None:
    env = person.connect("qwen-code")
    start = from_npm("qwen-code") / "node_modules" / "@qwen-code" / "qwen-code" / "cli.js"
    person.finishes(["node", start, "-y", TASK], **env, **NO_PROXY)  # it ignores NO_PROXY


@needs_node
def test_continue_does_a_task(person: Person, work: Workplace, from_npm: Callable[[str], Path]) -> None:
    env = person.connect("continue")
    start = from_npm("continue") / "node_modules" / "@continuedev" / "cli" / "dist" / "cn.js"
    config = work.home / ".continue" / "config.yaml"
    person.finishes(
        ["node", start, "--config", config, "--auto", "-p", TASK], CONTINUE_TELEMETRY_ENABLED="0", **env
    )


def test_aider_knows_the_model_and_its_window(
    person: Person, work: Workplace, from_pypi: Callable[[str], Path]
) -> None:
    env = person.connect("aider")
    aider = from_pypi("aider") / "bin" / "aider"
    quiet = ("--yes-always", "--no-check-update", "--no-analytics", "--no-git")
    done = work.run([aider, *quiet, "--message", "hello"], timeout=120, **env)
    assert person.stage.engine.refusals == []
    assert done.code == 0, (done.out, done.err)
    assert f"openai/{MODEL}" in done.out
    assert "unknown" not in done.out.lower()


@pytest.mark.parametrize(("client", "package"), [("openai-sdk", "openai"), ("anthropic-sdk", "anthropic")])
def test_the_line_for_a_library_runs_as_it_stands(
    person: Person, work: Workplace, from_pypi: Callable[[str], Path], client: str, package: str
) -> None:
    shown = json.loads(
        person.flockpy("connect", client, "--token", person.stage.key, "--model", MODEL, "--json")
    )
    code = next(snippet["text"] for snippet in shown["snippets"] if snippet["language"] == "python")
    done = work.run([from_pypi("sdk-current") / "bin" / "python", "-c", code])
    assert done.code == 0, done.err
    assert done.out.strip()


@pytest.mark.needs_program("curl")
def test_the_lines_for_curl_run_as_they_stand(person: Person, work: Workplace) -> None:
    shown = json.loads(
        person.flockpy("connect", "curl", "--token", person.stage.key, "--model", MODEL, "--json")
    )
    for snippet in shown["snippets"]:
        done = work.run(["sh", "-c", snippet["text"]])
        assert done.code == 0, done.err
        assert "error" not in json.loads(done.out)
