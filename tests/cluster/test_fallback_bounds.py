"""What bounds a chain: the key's models and quota, the surface, the time; and what is told when it is spent."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.cluster.abroad import CLAUDE, SONNET, Abroad, abroad
from tests.cluster.hopping import AWAY, CHATS, answered_at_home, answered_away, asked, play
from tests.cluster.metering import record_of
from tests.cluster.program import eventually
from tests.cluster.surfaces import SURFACES, Surface
from tests.cluster.traffic import Ask, ask
from tests.simulators.tool_model import Turn
from tests.simulators.vendor_server import Fault

FALLBACK = f"""\
timeout_seconds: 3
chains:
  quick: [clever]
  {SONNET}: fake
  text-embedding-3-small: {CLAUDE}, fake
"""
ROUTER = f"""\
aliases:
  quick: fake
  clever: {CLAUDE}
  "quickest*": fake
"""
FAILS = {"fault": "status", "status": 500}
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
chats = pytest.mark.parametrize("surface", CHATS, ids=lambda surface: surface.name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with abroad(tmp_path_factory.mktemp("bounds"), fallback=FALLBACK, router=ROUTER) as world:
        yield world


@both
@chats
async def test_who_is_silent_gives_way_after_the_bound_and_one_stream_is_told(
    world: Abroad, surface: Surface, stream: bool
):
    """What was said to keep the client waiting is no first byte, and belongs to the same answer."""
    play(world, {"first_chunk_s": 30})
    seen = await asked(world, surface, stream=stream)
    answered_away(world, seen, CLAUDE)
    assert seen.record["duration_ms"] < 10_000
    eventually(lambda: world.stage.busy() == 0, "the engine was told to stop", 15)
    receipt = world.stage.program.get(f"/admin/v1/requests/{seen.answer.request_id}")["receipt"]
    assert receipt["hops"] == ["fake:timeout"]
    assert "no answer within 3 s" in receipt["attempts"][0]["error"]
    if surface.name == "messages" and stream:
        assert seen.answer.body.count(b"event: message_start") == 1
    if surface.name == "responses" and stream:
        assert seen.answer.body.count(b"event: response.created") == 1


@chats
async def test_a_vendor_that_is_silent_gives_way_too(world: Abroad, surface: Surface):
    play(world, first_s=6)
    seen = await asked(world, surface, model=SONNET, stream=True)
    answered_at_home(seen)


@both
@chats
async def test_once_something_was_said_nobody_else_is_asked(world: Abroad, surface: Surface, stream: bool):
    if stream:
        play(world, {"text": "one two three four five six", "fault": "close", "chunks": 4})
        seen = await asked(world, surface, stream=True)
        assert seen.told.text == "one two three"
        assert (seen.told.error != "", seen.told.ended) == (True, False)
        assert (seen.record["outcome"], seen.record["model"]) == ("failed", "fake")
        assert not world.anthropic.requests
    play(world, turn=Turn("one two three four five six"), fault=Fault("cut", within="text", times=9))
    seen = await asked(world, surface, model=SONNET, stream=stream)
    if stream and surface.name != "messages":
        assert seen.told.error
        assert (seen.record["outcome"], seen.record["model"]) == ("failed", SONNET)


@both
@chats
async def test_when_nobody_can_answer_it_is_told_what_mends_it_at_home(
    world: Abroad, surface: Surface, stream: bool
):
    play(world, {"fault": "reset", "chunks": -1}, fault=Fault("status", status=529, times=9))
    seen = await asked(world, surface, stream=stream)
    if seen.answer.status == 200:  # its head was out, while the engine was tried again
        assert stream
        assert not seen.told.ended
    else:
        assert seen.answer.status == surface.busy
        assert 1 <= int(seen.answer.headers["retry-after"]) <= 30
        assert seen.answer.headers["x-should-retry"] == "true"
        assert seen.hops == ["fake:engine_unreachable", "vendor:anthropic"]
    assert world.stage.engine in seen.told.message
    assert "llama-server -m MODEL.gguf" in seen.told.message
    assert (seen.record["outcome"], seen.record["prompt_tokens"]) == ("failed", 0)
    receipt = world.stage.program.get(f"/admin/v1/requests/{seen.answer.request_id}")["receipt"]
    assert receipt["hops"] == ["fake:engine_unreachable"]
    assert all(attempt["error"] for attempt in receipt["attempts"])


@chats
async def test_a_vendor_first_chain_that_is_spent_tells_the_same(world: Abroad, surface: Surface):
    play(world, FAILS, fault=Fault("status", status=429, times=9, retry_after=9))
    seen = await asked(world, surface, model=SONNET, stream=False)
    assert seen.answer.status == 502
    assert seen.hops == [f"{SONNET}:overloaded", "only-replica"]
    assert seen.answer.headers["x-flock-model"] == "fake"


async def test_a_key_bound_to_models_is_held_to_them_in_every_chain(world: Abroad):
    bound = world.stage.program.create_key("bound", models=["fake"])
    play(world, FAILS)
    seen = await asked(world, SURFACES["chat"], key=bound, stream=False)
    assert seen.answer.status == 502
    assert not world.anthropic.requests
    assert seen.hops == ["only-replica"]


async def test_a_chain_costs_no_more_than_the_quota_of_the_key(world: Abroad):
    """The window of the model at home bounds what a request may cost there, but not at the vendor's."""
    poor = world.stage.program.create_key("poor", daily_token_quota=8000)
    play(world, FAILS)
    seen = await asked(world, SURFACES["chat"], key=poor, stream=False, most=50_000)
    assert seen.answer.status == 502
    assert not world.anthropic.requests, "it could have cost 50000 tokens there"
    seen = await asked(world, SURFACES["chat"], key=poor, stream=False)
    answered_away(world, seen, CLAUDE)
    (received,) = world.anthropic.requests
    assert received.json()["max_tokens"] < 8000
    program = world.stage.program
    refused = await ask(program.port, SURFACES["chat"].ask(poor, stream=False, model=SONNET, most=50_000))
    assert refused.status == 429
    left = 8000 - sum(seen.told.usage or ())
    assert int(refused.headers["x-ratelimit-remaining-tokens"]) == left, "what was held back is given back"


async def test_what_cannot_be_asked_there_is_not(world: Abroad):
    """Anthropic has no embeddings."""
    play(world)
    world.openai.script(fault=Fault("status", status=503, times=9))
    stage = world.stage
    what = Ask("/v1/embeddings", stage.key, {"model": "text-embedding-3-small", "input": "a"})
    answer = await ask(stage.program.port, what)
    assert answer.status == 503
    assert answer.headers["x-flock-route"] == "vendor:openai"
    assert not world.anthropic.requests


@pytest.mark.parametrize("name", ["quick", "quickest-of-all", "fake:latest", "claude-flock-fake", "auto"])
async def test_a_chain_is_of_the_model_whatever_name_it_is_asked_by(world: Abroad, name: str):
    play(world, FAILS)
    if name == "auto":
        world.stage.program.post("/admin/v1/aliases", {"name": "default", "model": "fake"})
        name = "default"
    seen = await asked(world, SURFACES["messages"], model=name, stream=False)
    answered_away(world, seen, CLAUDE)


@both
async def test_who_leaves_while_the_second_is_asked_pays_for_it(world: Abroad, stream: bool):
    play(world, FAILS, first_s=5)
    name, asking = await world.stage.begin("prefilling", SURFACES["chat"].ask(world.stage.key, stream=stream))
    await asyncio.to_thread(eventually, lambda: bool(world.anthropic.requests), "the vendor is asked")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    record = await asyncio.to_thread(record_of, world.stage.program, name)
    assert (record["outcome"], record["model"], record["node_id"]) == ("cancelled", CLAUDE, "anthropic")
    assert record["prompt_tokens"] > 0


async def test_who_leaves_while_the_first_is_asked_is_not_passed_on(world: Abroad):
    play(world, {"first_chunk_s": 30})
    name, asking = await world.stage.begin("prefilling", SURFACES["chat"].ask(world.stage.key, stream=False))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    record = await asyncio.to_thread(record_of, world.stage.program, name)
    assert (record["outcome"], record["model"]) == ("cancelled", "fake")
    assert not world.anthropic.requests
    eventually(lambda: world.stage.busy() == 0, "the engine was told to stop", 15)


@pytest.mark.parametrize("model", ["fake", CLAUDE])
async def test_an_admin_who_cancels_the_first_or_the_second_ends_the_request(world: Abroad, model: str):
    play(world, {"first_chunk_s": 30} if model == "fake" else FAILS, first_s=5)
    name, asking = await world.stage.begin("prefilling", SURFACES["chat"].ask(world.stage.key, stream=False))
    if model != "fake":
        await asyncio.to_thread(eventually, lambda: bool(world.anthropic.requests), "the vendor is asked")
    await asyncio.to_thread(world.stage.program.post, f"/admin/v1/requests/{name}/cancel")
    answer = await asking
    assert answer.status == 503
    record = await asyncio.to_thread(record_of, world.stage.program, name)
    assert (record["outcome"], record["model"]) == ("cancelled", model)
    assert bool(world.anthropic.requests) == (model != "fake")


async def test_hops_are_counted_and_named_by_why(world: Abroad):
    play(world, FAILS)
    seen = await asked(world, SURFACES["chat"], stream=False)
    text = httpx.get(f"{world.stage.program.url}/metrics").text
    assert re.search(
        r'flockpy_fallbacks_total{from="fake",reason="engine_died",to="anthropic/claude-haiku', text
    )
    why = world.stage.program.cli("why", seen.answer.request_id)
    assert why.returncode == 0
    assert "fake:engine_died" in why.stdout
    assert AWAY in str(seen.told.text)


async def test_fifty_at_once_while_the_engine_fails(world: Abroad):
    play(world)
    calls: list[Any] = [
        asyncio.create_task(asked(world, SURFACES["chat"], stream=n % 2 == 0)) for n in range(50)
    ]
    await asyncio.sleep(0.3)
    world.stage.play(text="four five six seven", **FAILS)
    for seen in await asyncio.gather(*calls):
        assert seen.answer.status == 200
        assert seen.told.ended
        assert seen.record["outcome"] == "ok"
