"""What every test may ask for: tools that not every machine has, a fixed place for the checkout, and a port."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

from tests.ports import free_port

settings.register_profile("any machine", deadline=None)  # how long an example takes says more of the machine
settings.load_profile("any machine")


_NEEDS = "needs "


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests whose tool is not here."""
    for item in items:
        for lack in _lacks(item):
            item.add_marker(pytest.mark.skip(reason=_NEEDS + lack))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name and count them."""
    skipped: dict[str, list[str]] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith(_NEEDS):
            skipped.setdefault(reason, []).append(report.nodeid)
    for reason, tests in skipped.items():
        terminalreporter.section(f"{len(tests)} not run: {reason}")
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


@pytest.fixture
def unused_tcp_port() -> int:
    """Instead of pytest-asyncio's, whose port may be given to any connection before somebody listens on it."""
    return free_port()
