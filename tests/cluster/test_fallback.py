"""Who asks for a model that cannot answer gets an answer of the next in its chain, in every protocol."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.abroad import CLAUDE, SONNET, Abroad, abroad
from tests.cluster.hopping import CHATS, answered_at_home, answered_away, asked, play
from tests.cluster.surfaces import Surface
from tests.simulators.vendor_server import Fault

CHAINS = f"""\
chains:
  fake: {CLAUDE}
  {SONNET}: [fake]
"""
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
chats = pytest.mark.parametrize("surface", CHATS, ids=lambda surface: surface.name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with abroad(tmp_path_factory.mktemp("fallback"), fallback=CHAINS) as world:
        yield world


@chats
@pytest.mark.parametrize(
    ("script", "code", "stream"),
    [
        ({"fault": "status", "status": 500}, "engine_died", True),
        ({"fault": "status", "status": 500}, "engine_died", False),
        ({"fault": "status", "status": 503}, "engine_unreachable", False),
        ({"fault": "reset", "chunks": -1}, "engine_unreachable", True),
        ({"fault": "garbage"}, "engine_unreachable", False),
    ],
    ids=["500-stream", "500-whole", "503-whole", "reset-stream", "garbage-whole"],
)
async def test_an_engine_that_fails_gives_way_to_the_vendor(
    world: Abroad, surface: Surface, stream: bool, script: dict[str, Any], code: str
):
    play(world, script)
    seen = await asked(world, surface, stream=stream)
    answered_away(world, seen, CLAUDE)
    assert len(world.anthropic.requests) == 1
    receipt = world.stage.program.get(f"/admin/v1/requests/{seen.answer.request_id}")["receipt"]
    assert receipt["hops"] == [f"fake:{code}"]
    assert [attempt["reason"] for attempt in receipt["attempts"]][-1] == "vendor:anthropic"
    assert all(attempt["error"] for attempt in receipt["attempts"][:-1])
    if not stream or code == "engine_died":  # else its head was out before
        assert seen.hops == [f"fake:{code}", "vendor:anthropic"]


VENDORS_FAULTS = {
    "429": (Fault("status", status=429, retry_after=7, times=9), "overloaded"),
    "529": (Fault("status", status=529, times=9), "overloaded"),
    "500": (Fault("status", status=500, times=9), "engine_died"),
    "our key": (Fault("status", status=401, times=9), "vendor_auth"),
    "our account": (Fault("status", status=403, times=9), "vendor_account"),
    "drop": (Fault("drop", times=9), "engine_unreachable"),
}


@both
@chats
@pytest.mark.parametrize("fault", VENDORS_FAULTS)
async def test_a_vendor_that_fails_gives_way_to_the_engine(
    world: Abroad, surface: Surface, stream: bool, fault: str
):
    struck, code = VENDORS_FAULTS[fault]
    play(world, fault=struck)
    seen = await asked(world, surface, model=SONNET, stream=stream)
    answered_at_home(seen)
    assert seen.hops == [f"{SONNET}:{code}", "only-replica"]
    assert seen.answer.headers["x-flock-model"] == "fake"
    strange = [name for name in seen.answer.headers if name.startswith(("anthropic-", "request-id"))]
    assert not strange, "what a vendor said of its limits is not said of an engine's answer"


@both
@chats
async def test_a_request_that_a_vendor_refuses_is_not_asked_of_others(
    world: Abroad, surface: Surface, stream: bool
):
    play(world, fault=Fault("status", status=400, message="tools: that is no schema", times=9))
    seen = await asked(world, surface, model=SONNET, stream=stream)
    assert seen.answer.status == 400
    assert "that is no schema" in seen.told.message
    assert len(world.anthropic.requests) == 1
    assert seen.record["outcome"] == "refused"
    assert seen.hops == ["vendor:anthropic"]
