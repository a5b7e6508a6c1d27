"""From one vendor to the next, and into a stream that has begun: what the official SDKs make of it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.cluster.abroad import CLAUDE, GPT, Abroad, abroad
from tests.cluster.hopping import AWAY, CHATS, Seen, answered_at_home, asked, play
from tests.cluster.sdks import SDKS
from tests.cluster.surfaces import SURFACES, Surface
from tests.simulators.tool_model import Turn
from tests.simulators.vendor_server import Fault

CHAINS = f"""\
timeout_seconds: 3
chains:
  fake: {GPT} {CLAUDE}
  {CLAUDE}: {GPT}
  {GPT}: fake
"""
FAILS = {"fault": "status", "status": 500}
BUSY = Fault("status", status=429, times=9, retry_after=3)
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
chats = pytest.mark.parametrize("surface", CHATS, ids=lambda surface: surface.name)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with abroad(tmp_path_factory.mktemp("vendors"), fallback=CHAINS) as world:
        yield world


def answered_by(world: Abroad, seen: Seen, model: str, vendor: str, text: str = AWAY) -> None:
    assert seen.answer.status == 200, seen.answer.body
    assert (seen.told.text, seen.told.ended, seen.told.error) == (text, True, "")
    assert not world.refusals
    assert (seen.record["model"], seen.record["node_id"]) == (model, vendor)
    assert (seen.record["prompt_tokens"], seen.record["completion_tokens"]) == seen.told.usage


@both
@chats
async def test_a_chain_goes_on_over_every_one_that_fails(world: Abroad, surface: Surface, stream: bool):
    play(world, FAILS)
    world.openai.script(fault=BUSY)
    seen = await asked(world, surface, stream=stream)
    answered_by(world, seen, CLAUDE, "anthropic")
    assert seen.hops == ["fake:engine_died", f"{GPT}:overloaded", "vendor:anthropic"]
    assert not [name for name in seen.answer.headers if name.startswith(("openai-", "x-ratelimit-"))]


@both
@chats
async def test_one_vendor_stands_in_for_the_other(world: Abroad, surface: Surface, stream: bool):
    play(world, fault=BUSY)
    world.openai.script(turn=Turn("from the other"))
    seen = await asked(world, surface, model=CLAUDE, stream=stream)
    answered_by(world, seen, GPT, "openai", "from the other")


@both
@chats
async def test_home_stands_in_for_openai(world: Abroad, surface: Surface, stream: bool):
    play(world)
    world.openai.script(fault=BUSY)
    answered_at_home(await asked(world, strict(surface, stream), model=GPT, stream=stream))


def strict(surface: Surface, stream: bool) -> Surface:
    """OpenAI takes ``stream_options`` with a stream alone."""
    if stream:
        return surface
    plain = {name: value for name, value in surface.prompt.items() if name != "stream_options"}
    return replace(surface, prompt=plain)


async def test_what_is_written_for_an_engine_is_told_a_vendor_in_words_that_it_takes(world: Abroad):
    """Forwarded as it is, OpenAI would refuse it as the client's mistake."""
    play(world, FAILS)
    chat = replace(CHATS[0], prompt=CHATS[0].prompt | {"top_k": 3, "cache_prompt": True, "max_tokens": 300})
    seen = await asked(world, chat, stream=False)
    answered_by(world, seen, GPT, "openai")
    assert "top_k" in seen.answer.headers["x-flock-dropped"]


@pytest.mark.parametrize("name", SDKS)
async def test_sdks_take_what_keeps_them_waiting_and_the_next_ones_answer_for_one(world: Abroad, name: str):
    """The vendor that speaks the client's protocol comes second: its own bytes would begin anew."""
    play(world, {"first_chunk_s": 30})
    world.openai.script(turn=Turn("from the other"), first_s=1)
    said = await asyncio.to_thread(SDKS[name][0], world.stage, world.stage.key, "fake", stream=True)
    assert said == "from the other"
    assert not world.refusals


@both
@chats
async def test_the_last_ones_own_words_are_told_when_all_are_busy(
    world: Abroad, surface: Surface, stream: bool
):
    play(world, FAILS, fault=BUSY)
    world.openai.script(fault=BUSY)
    seen = await asked(world, surface, stream=stream)
    assert seen.answer.status in (429, 503)
    assert seen.answer.headers["retry-after"] == "3"
    assert "scripted fault" in seen.told.message
    assert seen.hops == ["fake:engine_died", f"{GPT}:overloaded", "vendor:anthropic"]
    assert seen.record["outcome"] == "refused"


PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize("name", ["chat", "messages"])
async def test_a_picture_is_not_shown_to_one_that_is_blind(world: Abroad, name: str):
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    url = {"url": f"data:image/png;base64,{PICTURE}"}
    part = {"type": "image_url", "image_url": url} if name == "chat" else {"type": "image", "source": source}
    messages = [{"role": "user", "content": [{"type": "text", "text": "what is it?"}, part]}]
    play(world)
    world.openai.script(fault=BUSY)
    surface = strict(SURFACES[name], stream=False)
    surface = replace(surface, prompt=surface.prompt | {"messages": messages})
    seen = await asked(world, surface, model=GPT, stream=False)
    assert seen.answer.status in (429, surface.busy)
    assert "scripted fault" in seen.told.message
    assert seen.hops == ["vendor:openai"]
