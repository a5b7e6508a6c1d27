"""Whatever protocol a client speaks: when it goes away its engine is free within a second, and what it used is
recorded once."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.cluster.fake import Stage, on_stage
from tests.cluster.metering import record_of
from tests.cluster.program import eventually
from tests.cluster.surfaces import SURFACES, Surface
from tests.cluster.traffic import Answer
from tests.timing import in_time, timed

SLOW = {"endless": True, "chunk_s": 0.04}
SOME = 12
"""Chunks, of which five are with the leader and counted when its client leaves."""
FREE_S = 1.0


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(tmp_path_factory.mktemp("leaving"), "") as stage:
        yield stage


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> Surface:
    return SURFACES[request.param]


async def leave(stage: Stage, name: str, client: "asyncio.Task[Answer]") -> dict[str, Any]:
    """The record of a request whose client has gone, once its engine is free."""
    left = time.monotonic()
    client.cancel()
    with suppress(asyncio.CancelledError):
        await client
    await asyncio.to_thread(eventually, lambda: stage.busy() == 0, "the engine is free")
    freed = time.monotonic() - left
    record = await asyncio.to_thread(record_of, stage.program, name)
    in_time(freed, FREE_S)
    return record


@timed
async def test_who_leaves_a_stream_pays_for_what_was_made(stage: Stage, surface: Surface):
    stage.play(**SLOW)
    name, client = await stage.begin("generating", surface.ask(stage.key, stream=True, most=2000))
    await stage.made(SOME)
    record = await leave(stage, name, client)
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("cancelled", 200, "counted")
    assert record["prompt_tokens"] > 0
    assert 5 <= record["completion_tokens"] <= 100
    assert record["stream"] is True


@timed
async def test_who_leaves_a_whole_answer_pays_for_what_was_made(stage: Stage, surface: Surface):
    stage.play(**SLOW)
    name, client = await stage.begin("prefilling", surface.ask(stage.key, stream=False, most=2000))
    await asyncio.to_thread(eventually, lambda: stage.busy() == 1, "the engine is at work")
    if surface.name != "chat":  # which an adopted engine answers in one piece
        await stage.made(SOME)
    record = await leave(stage, name, client)
    assert (record["outcome"], record["status"]) == ("cancelled", 499)
    assert record["prompt_tokens"] > 0
    if surface.name != "chat":
        assert record["tokens_source"] == "counted"
        assert 5 <= record["completion_tokens"] <= 100
    assert record["stream"] is False


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@timed
async def test_who_leaves_while_the_prompt_is_read_has_no_completion(
    stage: Stage, surface: Surface, stream: bool
):
    stage.play(first_chunk_s=20)
    name, client = await stage.begin("prefilling", surface.ask(stage.key, stream=stream))
    await asyncio.to_thread(eventually, lambda: stage.busy() == 1, "the engine is at work")
    record = await leave(stage, name, client)
    assert (record["outcome"], record["status"], record["completion_tokens"]) == ("cancelled", 499, 0)


async def test_who_leaves_a_stream_that_was_only_kept_alive_has_no_completion(stage: Stage):
    stage.play(first_chunk_s=20)
    for pair in (("chat", "messages"), ("responses", "ollama")):
        streams = [SURFACES[name].ask(stage.key, stream=True) for name in pair]
        begun = [await stage.begin("prefilling", what) for what in streams]
        await asyncio.sleep(2.6)  # the headers are out
        for name, client in begun:
            client.cancel()
            with suppress(asyncio.CancelledError):
                await client
            record = await asyncio.to_thread(record_of, stage.program, name)
            assert (record["outcome"], record["status"], record["completion_tokens"]) == ("cancelled", 200, 0)
    assert stage.busy() == 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@timed
async def test_who_leaves_within_a_call_pays_for_it(stage: Stage, stream: bool):
    for surface in (SURFACES["messages"], SURFACES["responses"], SURFACES["chat"], SURFACES["ollama"]):
        stage.play(tool_call='{"city": "Paris"}', tool_pieces=17, chunk_s=0.3)
        stage_name = "generating" if stream else "prefilling"
        name, client = await stage.begin(stage_name, surface.ask(stage.key, stream=stream, tools=True))
        if stream or surface.name != "chat":
            await stage.made(3)  # its role, the name of the call, and a piece
        else:
            await asyncio.to_thread(eventually, lambda: stage.busy() == 1, "the engine is at work")
        record = await leave(stage, name, client)
        assert record["outcome"] == "cancelled"
        assert record["prompt_tokens"] > 0
        if surface.name != "chat":
            assert 1 <= record["completion_tokens"] <= 20
