"""What every test may ask for: tools that not every machine has, and a fixed place for the checkout."""

import os
import shutil
from pathlib import Path

import pytest

UNMET = pytest.StashKey[dict[str, list[str]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[UNMET] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the tests whose tool is not here, and remember them by name."""
    for item in items:
        for lack in _lacks(item):
            config.stash[UNMET].setdefault(lack, []).append(item.nodeid)
            item.add_marker(pytest.mark.skip(reason=f"needs {lack}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for lack, tests in config.stash[UNMET].items():
        terminalreporter.section(f"{len(tests)} not run: needs {lack}")
        for test in tests:
            terminalreporter.line(test)


def _lacks(item: pytest.Item) -> list[str]:
    lacks = [
        name for marker in item.iter_markers("needs_program") if shutil.which(name := marker.args[0]) is None
    ]
    if item.get_closest_marker("needs_root") and os.geteuid() != 0:
        lacks.append("root")
    if item.get_closest_marker("every_client") and not os.environ.get("FLOCK_EVERY_CLIENT"):
        lacks.append("scripts/test-clients")
    return lacks


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parent.parent
