"""Clients with models of vendors: of their own vendor, whose bytes pass as they are, and of the other, told anew."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients.agents import Server, run_claude_code, run_codex
from tests.clients.programs import run_against
from tests.clients.vendors import CHAT_GPT, CLAUDE, GPT, Vendors
from tests.clients.workplace import Workplace
from tests.simulators.anthropic_rules import signature
from tests.simulators.openai_models import encrypted

pytestmark = [pytest.mark.needs_program("node"), pytest.mark.timeout(400)]  # the first ones install

READ, BOTH, DELEGATE = (
    f"Please do flock-task:{what}"
    for what in ("read:secret.txt", "read:secret.txt,other.txt", "delegate:secret.txt")
)
THOUGHT = "I will look at it."
HAIKU = "claude-haiku-4-5-20251001"
"""The model Claude Code has for its subagents, whatever the user chose."""
READS = [f"{surface}-{way}" for surface in ("chat", "responses", "messages") for way in ("whole", "streamed")]
by_model = pytest.mark.parametrize("model", [CLAUDE, GPT])
Agent = Callable[[str, str], str]


@pytest.fixture
def thinkers(vendors: Vendors) -> Vendors:
    """Both think before they speak."""
    vendors.behave(reasoning=THOUGHT)
    return vendors


@pytest.fixture
def claude(thinkers: Vendors, work: Workplace, from_npm: Callable[[str], Path]) -> Agent:
    """What Claude Code says at the end of a task, no vendor having refused anything."""

    def does(task: str, model: str) -> str:
        server = Server(thinkers.url, thinkers.key, model)
        done = run_claude_code(from_npm("claude-code"), work, server, task)
        assert thinkers.refusals == []
        assert done.code == 0, (done.out, done.err)
        report = json.loads(done.out)
        assert not report["is_error"], report
        return report["result"]

    return does


@pytest.fixture
def codex(thinkers: Vendors, work: Workplace, from_npm: Callable[[str], Path]) -> Agent:
    """The same of Codex."""

    def does(task: str, model: str) -> str:
        done = run_codex(from_npm("codex"), work, Server(thinkers.url, thinkers.key, model), task)
        assert thinkers.refusals == []
        assert done.code == 0, (done.out, done.err)
        return (work.home / "last.txt").read_text()

    return does


@pytest.fixture(params=["claude", "codex"])
def agent(request: pytest.FixtureRequest) -> Agent:
    return request.getfixturevalue(request.param)


@by_model
def test_an_agent_reads_two_files_and_brings_the_models_thoughts_back(
    agent: Agent, thinkers: Vendors, work: Workplace, model: str
) -> None:
    """Each vendor accepts none but its own, with the proof that it gave for it."""
    assert agent(BOTH, model) == f"It says {work.secret} and {work.other}."
    first, second = (request.json() for request in thinkers.asked(model).requests)
    proof = signature(THOUGHT) if model == CLAUDE else encrypted(THOUGHT)
    assert json.dumps(proof) not in json.dumps(first)
    assert json.dumps(proof) in json.dumps(second)
    assert thinkers.not_asked(model).requests == []


@pytest.mark.parametrize(("agent", "model"), [("claude", GPT), ("codex", CLAUDE)], indirect=["agent"])
def test_an_agent_shows_a_picture_to_the_other_vendor(agent: Agent, work: Workplace, model: str) -> None:
    assert agent(f"Please do flock-task:look:{work.picture}", model) == f"It says {work.digest}."


@by_model
def test_the_subagent_of_claude_code_has_anthropics_haiku(
    claude: Agent, thinkers: Vendors, work: Workplace, model: str
) -> None:
    assert claude(DELEGATE, model) == f"It says {work.secret}."
    asked = [request.json()["model"] for vendor in thinkers.both for request in vendor.requests]
    assert sorted(asked) == sorted([HAIKU, HAIKU, model, model])


def test_the_subagent_of_codex_has_the_same_model(codex: Agent, thinkers: Vendors, work: Workplace) -> None:
    """Its tools for that are in a namespace, which Anthropic does not know."""
    assert codex(DELEGATE, CLAUDE) == f"It says {work.secret}."
    assert {request.json()["model"] for request in thinkers.anthropic.requests} == {CLAUDE}


def test_the_context_of_claude_code_is_counted_by_anthropic(claude: Agent, thinkers: Vendors) -> None:
    assert "Context Usage" in claude("/context", CLAUDE)
    assert {request.path for request in thinkers.anthropic.requests} == {"/v1/messages/count_tokens"}


def test_the_context_of_claude_code_is_estimated_for_openai(claude: Agent, thinkers: Vendors) -> None:
    assert "Context Usage" in claude("/context", GPT)
    assert [vendor.requests for vendor in thinkers.both] == [[], []]


@pytest.mark.parametrize("model", [CLAUDE, CHAT_GPT])
@pytest.mark.parametrize("sdk", ["sdk_python.py", "sdk_js.mjs"])
def test_the_sdks_read_a_file_in_every_protocol(
    thinkers: Vendors,
    tmp_path_factory: pytest.TempPathFactory,
    from_npm: Callable[[str], Path],
    from_pypi: Callable[[str], Path],
    sdk: str,
    model: str,
) -> None:
    package = (from_npm if sdk.endswith(".mjs") else from_pypi)("sdk-current")
    folder = tmp_path_factory.mktemp("sdk")
    said = run_against(thinkers.program, model, folder, sdk, package, [*READS, "counted"])
    words: dict[str, Any] = dict.fromkeys(READS, f"It says {said.work.secret}.")
    counted, billed = said.checks.pop("counted").split()
    assert {check: said.checks[check] for check in READS} == words
    assert thinkers.refusals == []
    assert int(counted) >= int(billed) > 0
