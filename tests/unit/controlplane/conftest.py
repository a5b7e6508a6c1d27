"""A real database in a directory of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.store.db import Database, open_database
from tests.unit.controlplane.helpers import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
async def database(tmp_path: Path, clock: HandClock) -> AsyncIterator[Database]:
    database = await open_database(tmp_path / "state.db", tmp_path / "backups", clock)
    yield database
    await database.close()
