"""What the tests with real clients share: a stage, a place to work, and the routes their clients need."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.install import Unavailable, npm_client, python_client
from tests.clients.stage import Stage, on_stage
from tests.clients.vendors import Vendors, with_vendors
from tests.clients.workplace import Workplace
from tests.simulators.strict_engine import Script


@pytest.fixture(scope="session")
def whole_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(tmp_path_factory.mktemp("clients")) as stage:
        yield stage


@pytest.fixture
def stage(whole_stage: Stage) -> Stage:
    """The stage with an engine that behaves, and has heard nothing yet."""
    whole_stage.engine.play(Script())
    return whole_stage


@pytest.fixture(scope="session")
def all_vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    with with_vendors(tmp_path_factory.mktemp("vendors")) as vendors:
        yield vendors


@pytest.fixture
def vendors(all_vendors: Vendors) -> Vendors:
    """The vendors, which behave and have heard nothing yet."""
    all_vendors.behave()
    return all_vendors


@pytest.fixture
def work(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


@pytest.fixture(scope="session")
def from_npm() -> Callable[[str], Path]:
    """`npm_client`, or the test is skipped where packages cannot be had."""
    return _or_skip(npm_client)


@pytest.fixture(scope="session")
def from_pypi() -> Callable[[str], Path]:
    """`python_client`, or the test is skipped where packages cannot be had."""
    return _or_skip(python_client)


def _or_skip(install: Callable[[str], Path]) -> Callable[[str], Path]:
    def client(name: str) -> Path:
        try:
            return install(name)
        except Unavailable as error:
            pytest.skip(str(error))

    return client
