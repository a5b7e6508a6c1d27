"""Agents of LangChain, LlamaIndex and the AI SDK, over each protocol that they have."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.programs import Said, run_program
from tests.clients.stage import Stage
from tests.simulators.tool_model import GREETING

pytestmark = [pytest.mark.every_client, pytest.mark.timeout(400)]


@dataclass(frozen=True, slots=True)
class Framework:
    """`protocols` it has a model for; `structures`: it can be asked for an answer of a schema."""

    program: str
    protocols: tuple[str, ...]
    structures: bool

    @property
    def checks(self) -> list[str]:
        ways = ("whole", "streamed", "structured") if self.structures else ("whole", "streamed")
        return [f"{protocol}-{way}" for protocol in self.protocols for way in ways]


FRAMEWORKS = {
    "langchain": Framework("framework_langchain.py", ("chat", "responses", "messages"), structures=True),
    "llamaindex": Framework(
        "framework_llamaindex.py",
        ("chat", "messages"),
        structures=False,
    ),
    "ai-sdk": Framework("framework_ai_sdk.mjs", ("chat", "responses", "messages"), structures=True),
}


@pytest.fixture(scope="module")
def said(
    whole_stage: Stage,
    tmp_path_factory: pytest.TempPathFactory,
    from_npm: Callable[[str], Path],
    from_pypi: Callable[[str], Path],
) -> Callable[[str], Said]:
    """What a framework's program said, run on the first demand."""
    known: dict[str, Said] = {}

    def ask(name: str) -> Said:
        if name not in known:
            framework = FRAMEWORKS[name]
            client = from_npm(name) if framework.program.endswith(".mjs") else from_pypi(name)
            folder = tmp_path_factory.mktemp(name)
            known[name] = run_program(whole_stage, folder, framework.program, client, framework.checks)
        return known[name]

    return ask


@pytest.mark.needs_program("node")
@pytest.mark.parametrize(
    ("name", "check"), [(name, check) for name, it in FRAMEWORKS.items() for check in it.checks]
)
def test_an_agent_reads_a_file(said: Callable[[str], Said], name: str, check: str) -> None:
    program = said(name)
    if check.endswith("structured"):
        assert program.of(check) == GREETING
    else:
        assert program.of(check) == f"It says {program.work.secret}."
