"""OpenAI breaks off, or its client does: each ends as the protocol says, and is metered as far as it came."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import openai
import pytest

from tests.cluster.abroad import CODEX, GPT, Abroad, abroad, asked
from tests.cluster.metering import Record, record_of
from tests.cluster.surfaces import SURFACES, Surface
from tests.cluster.traffic import Ask, ask
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import Fault

WORDS = "one two three four five six seven eight"
CALLS = Turn(WORDS, (Call("get_weather", f'{{"city":"{WORDS}"}}'),))
END: Any = "end"
LONG = Turn("word " * 400)
CHAT = replace(SURFACES["chat"], prompt={"messages": [{"role": "user", "content": "two words"}]})
"""OpenAI refuses `stream_options` where nothing is streamed."""
NATIVE = [CHAT, SURFACES["responses"]]
WAYS = [(GPT, "chat"), (GPT, "responses"), (GPT, "messages"), (GPT, "ollama"), (CODEX, "chat")]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with abroad(tmp_path_factory.mktemp("broken")) as world:
        yield world


@pytest.fixture(params=NATIVE, ids=lambda surface: surface.name)
def surface(request: pytest.FixtureRequest) -> Surface:
    return request.param


@pytest.fixture(params=WAYS, ids="-".join)
def way(request: pytest.FixtureRequest) -> tuple[str, Surface]:
    model, name = request.param
    return model, CHAT if name == "chat" else SURFACES[name]


@pytest.mark.parametrize("within", ["text", "arguments"])
@pytest.mark.parametrize("kind", ["cut", "reset", "error"])
async def test_a_stream_that_breaks_ends_with_an_error(
    world: Abroad, surface: Surface, kind: Any, within: Any
):
    world.behave(turn=CALLS, fault=Fault(kind, within=within), split=4, start_s=0.3)
    answer, told, record = await asked(world.stage, surface, model=GPT, stream=True, tools=True)
    assert answer.status == 200
    assert told.error
    assert not told.ended
    assert told.text
    assert WORDS.startswith(told.text)
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("failed", 200, "counted")
    assert record["prompt_tokens"] > 0


@pytest.mark.parametrize("kind", ["cut", "reset", "error"])
async def test_a_stream_that_breaks_at_its_start_ends_so_too(world: Abroad, surface: Surface, kind: Any):
    world.behave(fault=Fault(kind, within="start"))
    answer, told, record = await asked(world.stage, surface, model=GPT, stream=True)
    assert answer.status in (200, 502)
    assert told.error
    assert not told.ended
    assert (told.text, record["outcome"]) == ("", "failed")


@pytest.mark.parametrize("kind", ["cut", "reset", "error"])
async def test_a_stream_that_only_fails_is_an_error_with_a_status(world: Abroad, surface: Surface, kind: Any):
    world.behave(fault=Fault(kind, times=9, within="head", message="no more"))
    answer, told, record = await asked(world.stage, surface, model=GPT, stream=True)
    assert answer.status == (502 if kind == "error" else 503)
    assert "no more" in told.message or kind != "error"
    assert (record["outcome"], record["status"], record["tokens_source"]) == (
        "failed",
        answer.status,
        "estimated",
    )


async def test_a_vendor_that_thinks_for_long_leaves_no_connection_idle(world: Abroad, surface: Surface):
    world.behave(turn=Turn("late"), start_s=12)
    answer, told, _ = await asked(world.stage, surface, model=GPT, stream=True)
    assert answer.body.count(b"\n\n: \n\n") == 1
    assert (told.text, told.ended) == ("late", True)


async def test_a_response_that_fails_in_the_vendors_words_is_passed_on(world: Abroad):
    world.behave(fault=Fault("error", within="text", message="no more", code="server_error"), start_s=0.3)
    world.openai.fails_softly = True
    answer, told, record = await asked(world.stage, SURFACES["responses"], model=GPT, stream=True)
    world.openai.fails_softly = False
    assert answer.body.count(b"event: response.failed") == 1
    assert b"event: error" not in answer.body
    assert (told.error, told.message) == ("server_error", "no more")
    assert record["outcome"] == "failed"


@pytest.mark.parametrize("within", ["start", "text", "arguments"])
@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_a_response_that_breaks_off_has_failed(world: Abroad, kind: Any, within: Any):
    """Under its own id, without which the SDKs take the event for that of another response."""
    world.behave(turn=CALLS, fault=Fault(kind, within=within), split=4, start_s=0.3)
    answer, _, _ = await asked(world.stage, SURFACES["responses"], model=GPT, stream=True, tools=True)
    events = [json.loads(line[6:]) for line in answer.body.split(b"\n") if line.startswith(b"data: ")]
    first, *_, before, error, last = events
    assert [first["type"], error["type"], last["type"]] == ["response.created", "error", "response.failed"]
    assert [error["sequence_number"], last["sequence_number"]] == [
        before["sequence_number"] + n for n in (1, 2)
    ]
    assert (last["response"]["id"], last["response"]["status"]) == (first["response"]["id"], "failed")
    assert "broke off" in last["response"]["error"]["message"]


@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_response_that_breaks_off_is_raised_by_the_sdk(world: Abroad, kind: Any):
    world.behave(turn=CALLS, fault=Fault(kind, within="text"), split=4, start_s=0.3)
    url = f"{world.stage.program.url}/v1"
    with (
        openai.OpenAI(base_url=url, api_key=world.stage.key, max_retries=0) as client,
        client.responses.stream(model=GPT, input="two words") as stream,
        pytest.raises(openai.APIError, match="broke off") as raised,
    ):
        list(stream)
    assert (raised.value.type, raised.value.code) == ("server_error", "rate_limit_exceeded")


@pytest.mark.parametrize("kind", ["cut", "reset", "error"])
async def test_a_completion_that_breaks_ends_with_an_error(world: Abroad, kind: Any):
    world.behave(turn=Turn(WORDS), fault=Fault(kind, within=END), split=4, chunk_s=0.1)
    body = {"model": "gpt-3.5-turbo-instruct", "prompt": "hi", "stream": True}
    answer = await ask(world.stage.program.port, Ask("/v1/completions", world.stage.key, body))
    *_, last = [line for line in answer.body.split(b"\n") if line.startswith(b"data: ")]
    assert "error" in json.loads(last[6:])
    record = await asyncio.to_thread(record_of, world.stage.program, answer.request_id)
    assert (record["outcome"], record["tokens_source"]) == ("failed", "counted")


@pytest.mark.parametrize("kind", ["cut", "reset", "drop"])
async def test_a_whole_answer_that_breaks_is_an_error_with_a_status(
    world: Abroad, surface: Surface, kind: Any
):
    world.behave(turn=Turn(WORDS), fault=Fault(kind, times=9))
    answer, told, record = await asked(world.stage, surface, model=GPT, stream=False)
    assert (answer.status, told.error) == (503, "engine_unreachable")
    assert (record["outcome"], record["status"], record["completion_tokens"]) == ("failed", 503, 0)


async def test_a_whole_response_that_failed_is_recorded_so(world: Abroad):
    world.behave(turn=Turn(WORDS), stop="failed")
    answer, told, record = await asked(world.stage, SURFACES["responses"], model=GPT, stream=False)
    assert (answer.status, told.error) == (200, "server_error")
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("failed", 200, "engine")


async def begun(world: Abroad, way: tuple[str, Surface], *, stream: bool) -> "tuple[str, asyncio.Task[Any]]":
    model, surface = way
    what = surface.ask(world.stage.key, stream=stream, model=model)
    return await world.stage.begin("generating" if stream else "prefilling", what)


async def left(world: Abroad, name: str) -> Record:
    record = await asyncio.to_thread(record_of, world.stage.program, name)
    assert record["outcome"] == "cancelled"
    assert record["prompt_tokens"] > 0
    return record


async def test_who_leaves_a_stream_pays_for_what_was_made(world: Abroad, way: tuple[str, Surface]):
    world.behave(turn=LONG, chunk_s=0.05)
    name, client = await begun(world, way, stream=True)
    await asyncio.sleep(0.4)
    client.cancel()
    with suppress(asyncio.CancelledError):
        await client
    record = await left(world, name)
    assert (record["status"], record["tokens_source"]) == (200, "counted")
    assert 2 <= record["completion_tokens"] < 100


async def test_who_leaves_before_a_whole_answer_is_recorded(world: Abroad, way: tuple[str, Surface]):
    world.behave(turn=LONG, first_s=1.5)
    name, client = await begun(world, way, stream=False)
    client.cancel()
    with suppress(asyncio.CancelledError):
        await client
    assert (await left(world, name))["status"] == 499


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_what_an_admin_gives_up_ends_as_the_protocol_says(
    world: Abroad, way: tuple[str, Surface], stream: bool
):
    world.behave(turn=LONG, chunk_s=0.05, first_s=0 if stream else 1.5)
    name, client = await begun(world, way, stream=stream)
    await asyncio.to_thread(world.stage.program.post, f"/admin/v1/requests/{name}/cancel")
    answer = await client
    told = way[1].told(answer)
    assert told.error
    assert not told.ended
    assert answer.status == (200 if stream else way[1].busy)
    await left(world, name)
