"""A stub leader, and the command line run against it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flockpy.cli.main import run
from flockpy.settings import ENVIRONMENT
from tests.unit.flockpy.cli.stub_leader import StubLeader, stub_leader


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


Flockpy = Callable[..., Ran]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of one's own; nothing of this machine's configuration is seen."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    for name in (*ENVIRONMENT, "FLOCK_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def flockpy(home: Path, capfd: pytest.CaptureFixture[str]) -> Flockpy:
    """Run one command line in this process."""

    def call(*arguments: str) -> Ran:
        capfd.readouterr()
        code = run(list(arguments))
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return call


@pytest.fixture
def leader(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StubLeader]:
    """A leader that the configuration names, and that may ask no vendor."""
    with stub_leader() as running:
        running.items("/vendors")
        running.items("/vendors/models")
        monkeypatch.setenv("FLOCK_EXTERNAL_URL", running.url)
        yield running
