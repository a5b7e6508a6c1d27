"""The SDKs of OpenAI and Anthropic, for Python and JavaScript, of today and one major version before."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.programs import Said, run_program
from tests.clients.stage import Stage

pytestmark = pytest.mark.timeout(400)  # the first one installs

READS = [f"{surface}-{way}" for surface in ("chat", "responses", "messages") for way in ("whole", "streamed")]
RUNS = ["runner-whole", "runner-streamed"]
"""The loop that the SDK for JavaScript brings itself."""


@pytest.fixture(scope="module", params=["sdk-current", "sdk-previous"])
def python(
    request: pytest.FixtureRequest,
    whole_stage: Stage,
    tmp_path_factory: pytest.TempPathFactory,
    from_pypi: Callable[[str], Path],
) -> Said:
    folder = tmp_path_factory.mktemp("python")
    return run_program(whole_stage, folder, "sdk_python.py", from_pypi(request.param), [*READS, "counted"])


@pytest.fixture(scope="module", params=["sdk-current", "sdk-previous"])
def javascript(
    request: pytest.FixtureRequest,
    whole_stage: Stage,
    tmp_path_factory: pytest.TempPathFactory,
    from_npm: Callable[[str], Path],
) -> Said:
    folder, checks = tmp_path_factory.mktemp("node"), [*READS, *RUNS, "counted"]
    return run_program(whole_stage, folder, "sdk_js.mjs", from_npm(request.param), checks)


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
