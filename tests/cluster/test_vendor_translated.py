"""A vendor's model, asked in every protocol but its own."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cluster.abroad import CODEX, GPT, SONNET, Abroad, abroad, asked
from tests.cluster.metering import Record
from tests.cluster.surfaces import SURFACES, Surface, Told
from tests.cluster.traffic import Answer
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import Fault

CASES = [
    *((SONNET, name) for name in ("chat", "responses", "ollama")),
    *((GPT, name) for name in ("messages", "ollama")),
    *((CODEX, name) for name in ("chat", "messages")),
]
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    with abroad(tmp_path_factory.mktemp("translated")) as world:
        yield world


@dataclass(frozen=True, slots=True)
class Case:
    model: str
    surface: Surface

    @property
    def vendor(self) -> str:
        return "anthropic" if self.model == SONNET else "openai"


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    model, surface = request.param
    return Case(model, SURFACES[surface])


@both
async def test_it_answers_and_is_metered(world: Abroad, case: Case, stream: bool):
    world.behave(turn=Turn("one two three"), reasoning="Hm.")
    answer, told, record = await asked(world.stage, case.surface, model=case.model, stream=stream)
    assert answer.status == 200, answer.body
    assert (told.text, told.ended, told.error) == ("one two three", True, "")
    assert not world.refusals
    assert (record["prompt_tokens"], record["completion_tokens"]) == told.usage
    assert (record["outcome"], record["tokens_source"], record["node_id"]) == ("ok", "engine", case.vendor)
    assert (record["cost_usd"] is None) == (case.model == CODEX), "the catalog knows nothing of it"
    assert float(record["cost_usd"] or 1) > 0
    assert answer.headers["x-flock-route"] == f"vendor:{case.vendor}"


@both
async def test_it_calls_tools(world: Abroad, case: Case, stream: bool):
    world.behave(turn=Turn(calls=(Call("get_weather", '{"city":"Paris"}'),)))
    _, told, _ = await asked(world.stage, case.surface, model=case.model, stream=stream, tools=True)
    assert [argument.replace(" ", "") for argument in told.arguments] == ['{"city":"Paris"}']
    assert told.ended


@both
@pytest.mark.parametrize("status", [429, 500])
async def test_its_refusals_are_told_in_the_clients_protocol(
    world: Abroad, case: Case, stream: bool, status: int
):
    world.behave(fault=Fault("status", status=status, retry_after=9, message="not now"))
    answer, told, record = await asked(world.stage, case.surface, model=case.model, stream=stream)
    assert answer.status == (502 if status == 500 else case.surface.busy)
    assert answer.headers["retry-after"] == "9"
    assert "not now" in told.message
    assert record["outcome"] in ("failed", "refused")


@both
@pytest.mark.parametrize("status", [401, 403])
async def test_what_is_wrong_with_the_leaders_key_is_not_the_clients(
    world: Abroad, case: Case, stream: bool, status: int
):
    world.behave(fault=Fault("status", status=status, message="Your account is not active"))
    answer, told, record = await asked(world.stage, case.surface, model=case.model, stream=stream)
    assert answer.status == case.surface.busy
    assert "leader's" in told.message
    assert record["outcome"] in ("failed", "refused")


@both
async def test_what_it_finds_wrong_is_the_clients(world: Abroad, case: Case, stream: bool):
    world.behave(fault=Fault("status", status=400, message="I cannot read that"))
    answer, told, record = await asked(world.stage, case.surface, model=case.model, stream=stream)
    assert (answer.status, record["outcome"], record["status"]) == (400, "refused", 400)
    assert "I cannot read that" in told.message


WORDS = "one two three four five six"


def has_broken(answer: Answer, told: Told, record: Record) -> None:
    assert answer.status == 200
    assert told.error
    assert not told.ended
    assert told.text
    assert WORDS.startswith(told.text)
    assert record["outcome"] == "failed"


@pytest.mark.parametrize("kind", ["cut", "reset", "error"])
async def test_a_stream_that_breaks_ends_as_the_protocol_says(world: Abroad, case: Case, kind: Any):
    world.behave(turn=Turn(WORDS), fault=Fault(kind, within="text"), split=4)
    has_broken(*await asked(world.stage, case.surface, model=case.model, stream=True))


@pytest.mark.parametrize("kind", ["cut", "reset", "error"])
async def test_a_stream_that_breaks_within_a_call_ends_so_too(world: Abroad, case: Case, kind: Any):
    turn = Turn(WORDS, (Call("get_weather", f'{{"city":"{WORDS}"}}'),))
    world.behave(turn=turn, fault=Fault(kind, within="arguments"), split=4)
    has_broken(*await asked(world.stage, case.surface, model=case.model, stream=True, tools=True))


@pytest.mark.parametrize("kind", ["cut", "reset", "error", "drop"])
async def test_a_stream_that_breaks_before_it_said_anything_is_an_error_with_a_status(
    world: Abroad, case: Case, kind: Any
):
    world.behave(fault=Fault(kind, within="start", times=9, status=503))
    answer, told, record = await asked(world.stage, case.surface, model=case.model, stream=True)
    assert answer.status in (502, case.surface.busy)
    assert told.error
    assert record["outcome"] in ("failed", "refused")
    assert record["completion_tokens"] == 0


@pytest.mark.parametrize("kind", ["cut", "reset", "error", "drop"])
async def test_a_whole_answer_that_breaks_is_an_error_with_a_status(world: Abroad, case: Case, kind: Any):
    world.behave(turn=Turn("one two three four"), fault=Fault(kind, within="text", times=9), split=4)
    answer, told, record = await asked(world.stage, case.surface, model=case.model, stream=False)
    assert answer.status in (502, case.surface.busy)
    assert told.error
    assert record["outcome"] in ("failed", "refused")
    assert record["completion_tokens"] == 0


async def test_a_vendor_that_is_silent_for_long_keeps_nobody_waiting_in_silence(world: Abroad):
    """The stream's headers and something that resets the client's timer come while nothing does from there."""
    world.behave(turn=Turn("late"), first_s=3.5)
    answer, told, _ = await asked(world.stage, SURFACES["chat"], model=SONNET, stream=True)
    assert told.text == "late"
    assert answer.body.count(b'"delta":{}') + answer.body.count(b'"content":""') >= 1


def test_what_its_vendor_cannot_be_told_is_disclosed(world: Abroad):
    world.behave(turn=Turn("one"))
    body = {"model": SONNET, "messages": [{"role": "user", "content": "hi"}], "seed": 7, "max_tokens": 9}
    with world.stage.program.client(world.stage.key) as client:
        answer = client.post("/v1/chat/completions", json=body)
    assert answer.headers["x-flock-dropped"] == "seed"
