"""The SDKs of OpenAI and Anthropic, for Python and JavaScript, of today and one major version before."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import Script

pytestmark = pytest.mark.timeout(400)  # the first one installs

HERE = Path(__file__).parent
ROUTES = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "counted": "/v1/messages/count_tokens",
    "runner": "/v1/chat/completions",
}
READS = [f"{surface}-{way}" for surface in ("chat", "responses", "messages") for way in ("whole", "streamed")]
RUNS = ["runner-whole", "runner-streamed"]
"""The loop that the SDK for JavaScript brings itself."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a program said of each check, and what the engine refused meanwhile."""

    work: Workplace
    checks: dict[str, str]
    refusals: list[str]

    def of(self, check: str) -> str:
        if check not in self.checks:
            pytest.skip(f"the route {ROUTES[check.partition('-')[0]]} is not served yet")
        assert self.refusals == []
        return self.checks[check]


def run(stage: Stage, folder: Path, argv: list[str | Path], checks: list[str]) -> Said:
    stage.engine.play(Script())
    work = Workplace(folder)
    served = [check for check in checks if stage.serves(ROUTES[check.partition("-")[0]])]
    done = work.run([*argv, stage.url, stage.key, "strict", *served])
    assert done.code == 0, done.err
    return Said(work, json.loads(done.out), stage.engine.refusals)


@pytest.fixture(scope="module", params=["sdk-current", "sdk-previous"])
def python(
    request: pytest.FixtureRequest,
    whole_stage: Stage,
    tmp_path_factory: pytest.TempPathFactory,
    from_pypi: Callable[[str], Path],
) -> Said:
    argv = [from_pypi(request.param) / "bin" / "python", "-P", HERE / "sdk_python.py"]
    return run(whole_stage, tmp_path_factory.mktemp("python"), argv, [*READS, "counted"])


@pytest.fixture(scope="module", params=["sdk-current", "sdk-previous"])
def javascript(
    request: pytest.FixtureRequest,
    whole_stage: Stage,
    tmp_path_factory: pytest.TempPathFactory,
    from_npm: Callable[[str], Path],
) -> Said:
    argv: list[str | Path] = ["node", HERE / "sdk_js.mjs", from_npm(request.param)]
    return run(whole_stage, tmp_path_factory.mktemp("node"), argv, [*READS, *RUNS, "counted"])


@pytest.mark.parametrize("check", READS)
def test_python_reads_a_file(python: Said, check: str) -> None:
    assert python.of(check) == f"It says {python.work.secret}."


@pytest.mark.needs_program("node")
@pytest.mark.parametrize("check", [*READS, *RUNS])
def test_javascript_reads_a_file(javascript: Said, check: str) -> None:
    assert javascript.of(check) == f"It says {javascript.work.secret}."


def test_python_counts_no_less_than_is_billed(python: Said) -> None:
    """This engine has no tokenizer to ask, so what is counted is an estimate, and it errs high."""
    before, billed = python.of("counted").split()
    assert int(before) >= int(billed) > 0


@pytest.mark.needs_program("node")
def test_javascript_counts_no_less_than_is_billed(javascript: Said) -> None:
    before, billed = javascript.of("counted").split()
    assert int(before) >= int(billed) > 0
