"""Whatever an engine does, a client hears of it in its own protocol, and its record says so once."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.fake import Stage, on_stage
from tests.cluster.metering import Record, record_of
from tests.cluster.surfaces import SURFACES, Surface, Told
from tests.cluster.traffic import Answer, ask

TEXT = "one two three four five six"
CALL = {"tool_call": '{"city": "Paris, the one in France"}', "tool_pieces": 6}
CODES = {  # what an engine's own failure is called, with a status and within a stream
    "chat": ("engine_died", "engine_died"),
    "messages": ("overloaded_error", "overloaded_error"),
    "responses": ("engine_died", "rate_limit_exceeded"),
}
UNREACHABLE = {
    "chat": ("engine_unreachable", "engine_unreachable"),
    "messages": ("overloaded_error", "overloaded_error"),
    "responses": ("engine_unreachable", "rate_limit_exceeded"),
}
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
with_tools = pytest.mark.parametrize("surface", ["chat", "messages", "responses", "ollama"], indirect=True)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(tmp_path_factory.mktemp("faults"), "limits:\n  queue_wait_seconds: 20\n") as stage:
        yield stage


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> Surface:
    return SURFACES[request.param]


async def asked(stage: Stage, surface: Surface, **fields: Any) -> tuple[Answer, Told, Record]:
    answer = await ask(stage.program.port, surface.ask(stage.key, **fields))
    return answer, surface.told(answer), await asyncio.to_thread(record_of, stage.program, answer.request_id)


def ended(record: Record) -> tuple[Any, ...]:
    """Outcome, status, source, and whether there are prompt and completion tokens."""
    tokens = record["prompt_tokens"] > 0, record["completion_tokens"] > 0
    return record["outcome"], record["status"], record["tokens_source"], *tokens


def check_code(surface: Surface, codes: dict[str, tuple[str, str]], told: Told, *, in_band: bool) -> None:
    assert told.error == codes[surface.name][in_band] if surface.name in codes else told.error
    assert "Traceback" not in told.message
    assert told.message


@both
async def test_a_record_says_what_the_client_saw(stage: Stage, surface: Surface, stream: bool):
    """And a body that was asked for as a stream works without."""
    stage.play(text=TEXT)
    answer, told, record = await asked(stage, surface, stream=stream)
    assert answer.status == 200, answer.body
    assert (told.text, told.ended, told.error) == (TEXT, True, "")
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, "engine")
    assert (record["prompt_tokens"], record["completion_tokens"]) == told.usage
    assert record["stream"] is stream
    assert record["completion_tokens"] == 6


@both
@with_tools
async def test_a_call_is_whole_either_way(stage: Stage, surface: Surface, stream: bool):
    stage.play(**CALL)
    _, told, record = await asked(stage, surface, stream=stream, tools=True)
    assert told.arguments == [CALL["tool_call"]]
    assert told.ended
    assert (record["prompt_tokens"], record["completion_tokens"]) == told.usage


@both
async def test_an_engine_that_dies_before_its_head_is_unreachable(
    stage: Stage, surface: Surface, stream: bool
):
    stage.play(fault="reset", chunks=-1)
    answer, told, record = await asked(stage, surface, stream=stream)
    check_code(surface, UNREACHABLE, told, in_band=False)
    assert stage.engine in told.message
    assert "llama-server -m MODEL.gguf" in told.message
    assert answer.status == surface.busy
    assert 1 <= int(answer.headers["retry-after"]) <= 30
    assert answer.headers["x-should-retry"] == "true"
    assert ended(record) == ("failed", surface.busy, "estimated", False, False)


@pytest.mark.parametrize("fault", ["close", "end"])
async def test_an_engine_that_dies_before_its_first_token_is_asked_again_and_then_unreachable(
    stage: Stage, surface: Surface, fault: str
):
    stage.play(fault=fault, chunks=1)
    answer, told, record = await asked(stage, surface, stream=True)
    in_band = answer.status == 200
    assert in_band or answer.status == surface.busy
    passed_on = surface.name == "chat"  # its streams are: the chunk that names the role is out
    check_code(surface, CODES if passed_on else UNREACHABLE, told, in_band=in_band)
    assert (told.text, told.ended) == ("", False)
    if not passed_on:
        assert ended(record) == ("failed", answer.status, "estimated", False, False)


async def test_a_whole_answer_that_breaks_off_is_asked_for_again(stage: Stage, surface: Surface):
    stage.play(text=TEXT, fault="end", chunks=3)
    again = asyncio.create_task(asked(stage, surface, stream=False))
    await asyncio.sleep(0.3)
    stage.play(text=TEXT)
    answer, told, record = await again
    assert (answer.status, told.text) == (200, TEXT)
    assert ended(record) == ("ok", 200, "engine", True, True)
    assert record["completion_tokens"] == 6


@pytest.mark.parametrize("fault", ["close", "end"])
async def test_an_engine_that_dies_within_its_text_ends_the_stream_with_an_error(
    stage: Stage, surface: Surface, fault: str
):
    stage.play(text=TEXT, fault=fault, chunks=4)
    answer, told, record = await asked(stage, surface, stream=True)
    assert answer.status == 200
    assert told.text == "one two three"
    assert not told.ended
    check_code(surface, CODES, told, in_band=True)
    assert ended(record) == ("failed", 200, "counted", True, True)
    assert record["completion_tokens"] >= 3


@with_tools
async def test_an_engine_that_dies_within_a_calls_arguments_leaves_no_call_to_act_upon(
    stage: Stage, surface: Surface
):
    stage.play(**CALL, fault="close", chunks=5)
    answer, told, record = await asked(stage, surface, stream=True, tools=True)
    # Ollama's calls come whole, so that nothing was said yet.
    status = 502 if surface.name == "ollama" else 200
    assert answer.status == status
    assert CALL["tool_call"] not in told.arguments
    assert not told.ended
    check_code(surface, CODES, told, in_band=True)
    assert b'"tool_use"' not in answer.body or b"content_block_stop" not in answer.body
    assert b"function_call_arguments.done" not in answer.body
    assert ended(record) == ("failed", status, "counted", True, True)


async def test_an_error_in_an_engines_stream_ends_the_clients_stream_with_it(stage: Stage, surface: Surface):
    stage.play(text=TEXT, fault="event", chunks=4)
    answer, told, record = await asked(stage, surface, stream=True)
    assert answer.status == 200
    assert told.text == "one two three"
    assert not told.ended
    assert "scripted fault" in told.message
    assert told.error
    assert ended(record)[:2] == ("failed", 200)


@pytest.mark.parametrize("surface", ["messages", "responses", "ollama", "generate"], indirect=True)
async def test_an_error_that_is_all_an_engines_stream_has_is_told_with_a_status(
    stage: Stage, surface: Surface
):
    """But for chat, whose streams pass as they are."""
    for stream in (True, False):
        stage.play(fault="event", chunks=1 if stream else 0)
        answer, told, record = await asked(stage, surface, stream=stream)
        assert answer.status == 502, answer.body
        assert "scripted fault" in told.message
        check_code(surface, CODES, told, in_band=False)
        assert ended(record) == ("failed", 502, "estimated", False, False)


@both
async def test_an_engines_500_is_its_own_failure(stage: Stage, surface: Surface, stream: bool):
    stage.play(fault="status", status=500)
    answer, told, record = await asked(stage, surface, stream=stream)
    assert answer.status == 502
    assert answer.headers["retry-after"] == "1"
    assert answer.headers["x-should-retry"] == "true"
    check_code(surface, CODES, told, in_band=False)
    assert ended(record) == ("failed", 502, "estimated", False, False)


@both
async def test_an_engines_400_is_the_clients_mistake(stage: Stage, surface: Surface, stream: bool):
    stage.play(fault="status", status=400)
    answer, told, record = await asked(stage, surface, stream=stream)
    assert answer.status == 400
    assert "scripted fault" in told.message
    assert told.error == "invalid_request_error" or surface.name in ("ollama", "generate")
    assert "retry-after" not in answer.headers
    assert ended(record) == ("refused", 400, "estimated", False, False)


@both
async def test_a_prompt_that_is_too_long_is_told_in_the_words_each_client_knows(
    stage: Stage, surface: Surface, stream: bool
):
    stage.play(context=1)
    answer, told, record = await asked(stage, surface, stream=stream)
    assert answer.status == 400, answer.body
    if surface.name == "messages":
        assert (told.error, told.message) == (
            "invalid_request_error",
            "prompt is too long: 2 tokens > 1 maximum",
        )
    elif surface.name in ("chat", "responses"):
        assert told.error == "context_length_exceeded"
    assert "2 tokens" in told.message
    assert ended(record) == ("refused", 400, "estimated", False, False)


@both
async def test_an_engine_that_does_not_count_is_counted_here(stage: Stage, surface: Surface, stream: bool):
    stage.play(counts=False, text=TEXT)
    answer, told, record = await asked(stage, surface, stream=stream)
    assert (answer.status, told.text) == (200, TEXT)
    assert ended(record)[:2] == ("ok", 200)
    assert record["prompt_tokens"] > 0
    assert 6 <= record["completion_tokens"] <= 20
