"""An engine that is full, one that dies under fifty requests and stays dead, one that cannot be: the chain goes on."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.abroad import CLAUDE, GPT, Abroad, abroad
from tests.cluster.hopping import CHATS, answered_at_home, answered_away, asked, play
from tests.cluster.metering import verified
from tests.cluster.program import eventually
from tests.cluster.surfaces import SURFACES
from tests.simulators.vendor_server import Fault
from tests.tiny_models import tiny_model

CHAINS = f"""\
chains:
  fake: {CLAUDE}
  {GPT}: fake
  broken: {CLAUDE}
"""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Abroad]:
    with abroad(tmp_path, fallback=CHAINS) as world:
        yield world


async def test_a_full_line_gives_way_to_the_vendor(tmp_path: Path):
    with abroad(tmp_path, fallback=CHAINS, limits="queue_depth: 0") as world:
        play(world, {"first_chunk_s": 20})
        waiting = [(await world.stage.begin("prefilling"))[1] for _ in range(2)]
        for surface in CHATS:
            seen = await asked(world, surface, stream=False)
            answered_away(world, seen, CLAUDE)
            assert seen.hops == ["fake:overloaded", "vendor:anthropic"]
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_vendor_that_is_gone_and_an_engine_that_dies_under_fifty_requests(world: Abroad):
    stage, program = world.stage, world.stage.program
    await asyncio.to_thread(world.openai.stop)
    play(world)
    for surface in CHATS:
        answered_at_home(await asked(world, surface, model=GPT, stream=True))

    play(world, {"fault": "crash", "chunks": -1, "good_requests": 7, "first_chunk_s": 0.05})
    models: list[str] = []
    for seen in await asyncio.gather(*(asked(world, CHATS[n % 4], stream=n % 3 == 0) for n in range(50))):
        assert seen.answer.status == 200, seen.answer.body
        models.append(seen.record["model"])
        if seen.told.error:  # it had begun to answer when its engine died
            assert seen.told.text
            assert (seen.record["model"], seen.record["outcome"]) == ("fake", "failed")
            continue
        assert seen.told.ended
        assert seen.record["outcome"] == "ok"
    assert 0 < models.count("fake") <= 7

    await asyncio.to_thread(eventually, lambda: program.model_state("fake") == "failed", "its end is noticed")
    for surface in CHATS:
        answered_away(world, await asked(world, surface, stream=True), CLAUDE)
    world.anthropic.script(fault=Fault("status", status=529, times=9))
    seen = await asked(world, SURFACES["messages"], stream=False)
    assert seen.answer.status == 529
    assert "llama-server" in seen.told.message
    assert stage.engine in seen.told.message
    verified(program)


async def test_a_model_that_cannot_be_loaded(world: Abroad, tmp_path: Path):
    """And doctor tells of a name in a chain that leads nowhere."""
    program = world.stage.program
    said = program.cli("doctor", "--json").stdout
    assert "the chain of broken: broken is not installed" in said
    file = Path(shutil.copy(tiny_model(), tmp_path / "broken.gguf"))
    program.add_model(file, "broken")
    program.post("/admin/v1/models/broken/unload")
    eventually(lambda: program.model_state("broken") == "installed", "it is unloaded")
    file.unlink()
    play(world)
    for stream in (True, False):
        seen = await asked(world, SURFACES["chat"], model="broken", stream=stream)
        answered_away(world, seen, CLAUDE)
    assert seen.hops == ["broken:engine_unreachable", "vendor:anthropic"]
    assert "the chain of broken" not in program.cli("doctor", "--json").stdout


async def test_a_model_that_was_slow_is_asked_last(tmp_path: Path):
    with abroad(tmp_path, fallback=CHAINS, router="latency_fallback_p95_seconds: 0.4") as world:
        play(world, {"first_chunk_s": 0.6})
        for surface in (*CHATS, CHATS[0]):
            answered_at_home(await asked(world, surface, stream=True))
        seen = await asked(world, CHATS[1], stream=True)
        answered_away(world, seen, CLAUDE)
        assert seen.hops == ["fake:slow", "vendor:anthropic"]
        world.anthropic.script(fault=Fault("status", status=529, times=9))
        seen = await asked(world, CHATS[1], stream=True)
        answered_at_home(seen)
        assert seen.hops == ["fake:slow", f"{CLAUDE}:overloaded", "only-replica"]
