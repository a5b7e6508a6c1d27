"""Chains over the admin surface."""

import pytest

from controlplane.cluster.events import ModelInstalled
from flockpy.config import Config, Fallback, Router
from tests.unit.controlplane.api.conftest import World
from tests.unit.controlplane.builders import model


@pytest.fixture
def config() -> Config:
    return Config(router=Router(fallback=Fallback(chains={"m": "n, claude-opus-5", "later": "m"})))


async def test_they_are_listed_with_what_of_them_does_nothing(world: World):
    await world.services.cluster.commit(ModelInstalled(model("m")))
    await world.services.cluster.commit(ModelInstalled(model("n")))
    found = (await world.get("/chains")).json()["items"]
    nobody = "is not installed, and no vendor that may be asked has it"
    assert found == [
        {"name": "m", "further": ["n", "claude-opus-5"], "troubles": [f"claude-opus-5 {nobody}"]},
        {"name": "later", "further": ["m"], "troubles": [f"later {nobody}"]},
    ]
