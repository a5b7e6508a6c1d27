"""A model of Anthropic's, asked in every protocol but its own."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.abroad import SONNET, Abroad, abroad
from tests.cluster.metering import Record, record_of
from tests.cluster.surfaces import SURFACES, Surface, Told
from tests.cluster.traffic import Answer, ask
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import Fault

TRANSLATED = [name for name in SURFACES if name in ("chat", "responses", "ollama")]
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with abroad(tmp_path_factory.mktemp("translated")) as world:
        yield world


@pytest.fixture(params=TRANSLATED)
def surface(request: pytest.FixtureRequest) -> Surface:
    return SURFACES[request.param]


async def asked(world: Abroad, surface: Surface, **fields: Any) -> tuple[Answer, Told, Record]:
    stage = world.stage
    answer = await ask(stage.program.port, surface.ask(stage.key, model=SONNET, **fields))
    return answer, surface.told(answer), await asyncio.to_thread(record_of, stage.program, answer.request_id)


@both
async def test_it_answers_and_is_metered(world: Abroad, surface: Surface, stream: bool):
    world.behave(turn=Turn("one two three"), reasoning="Hm.")
    answer, told, record = await asked(world, surface, stream=stream)
    assert answer.status == 200, answer.body
    assert (told.text, told.ended, told.error) == ("one two three", True, "")
    assert not world.anthropic.refusals
    assert (record["prompt_tokens"], record["completion_tokens"]) == told.usage
    assert (record["outcome"], record["tokens_source"], record["node_id"]) == ("ok", "engine", "anthropic")
    assert float(record["cost_usd"]) > 0
    assert answer.headers["x-flock-route"] == "vendor:anthropic"


@both
async def test_it_calls_tools(world: Abroad, surface: Surface, stream: bool):
    world.behave(turn=Turn(calls=(Call("get_weather", '{"city":"Paris"}'),)))
    _, told, _ = await asked(world, surface, stream=stream, tools=True)
    assert [argument.replace(" ", "") for argument in told.arguments] == ['{"city":"Paris"}']
    assert told.ended


@both
@pytest.mark.parametrize("status", [429, 500, 529])
async def test_its_refusals_are_told_in_the_clients_protocol(
    world: Abroad, surface: Surface, stream: bool, status: int
):
    world.behave(fault=Fault("status", status=status, retry_after=9, message="not now"))
    answer, told, record = await asked(world, surface, stream=stream)
    assert answer.status == (502 if status == 500 else 503)
    assert answer.headers["retry-after"] == "9"
    assert "not now" in told.message
    assert record["outcome"] in ("failed", "refused")


@pytest.mark.parametrize("within", ["text"])
@pytest.mark.parametrize("kind", ["cut", "reset", "error"])
async def test_a_stream_that_breaks_ends_as_the_protocol_says(
    world: Abroad, surface: Surface, kind: Any, within: Any
):
    world.behave(turn=Turn("one two three four five six"), fault=Fault(kind, within=within))
    answer, told, record = await asked(world, surface, stream=True)
    assert answer.status == 200
    assert told.error
    assert told.text
    assert "one two three four five six".startswith(told.text)
    assert record["outcome"] == "failed"


async def test_a_vendor_that_is_silent_for_long_keeps_nobody_waiting_in_silence(world: Abroad):
    """The stream's headers and something that resets the client's timer come while nothing does from there."""
    world.behave(turn=Turn("late"), first_s=3.5)
    answer, told, _ = await asked(world, SURFACES["chat"], stream=True)
    assert told.text == "late"
    assert answer.body.count(b'"delta":{}') + answer.body.count(b'"content":""') >= 1


def test_what_its_vendor_cannot_be_told_is_disclosed(world: Abroad):
    world.behave(turn=Turn("one"))
    body = {"model": SONNET, "messages": [{"role": "user", "content": "hi"}], "seed": 7, "max_tokens": 9}
    with world.stage.program.client(world.stage.key) as client:
        answer = client.post("/v1/chat/completions", json=body)
    assert answer.headers["x-flock-dropped"] == "seed"
