"""However a request ends, it leaves one record, which says how."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.fake import Stage, on_stage
from tests.cluster.metering import record_of
from tests.cluster.traffic import Answer

SLOW = {"endless": True, "chunk_s": 0.05}
ENDLESS = {"stream": True, "max_tokens": 2000}
CONFIG = "limits:\n  queue_depth: 1\n  shutdown_seconds: 0.5\n"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(tmp_path_factory.mktemp("exits"), CONFIG) as stage:
        yield stage


def said(stage: Stage, request_id: str) -> tuple[Any, ...]:
    """Outcome, status, source, and whether there are prompt and completion tokens."""
    record = record_of(stage.program, request_id)
    tokens = record["prompt_tokens"] > 0, record["completion_tokens"] > 0
    return record["outcome"], record["status"], record["tokens_source"], *tokens


async def gone(*clients: "asyncio.Task[Answer]") -> None:
    for client in clients:
        client.cancel()
        with suppress(asyncio.CancelledError):
            await client


async def test_a_whole_answer_is_recorded_as_the_engine_counted_it(stage: Stage) -> None:
    stage.play()
    answer = await stage.ask()
    assert answer.usage
    record = record_of(stage.program, answer.request_id)
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, "engine")
    assert record["prompt_tokens"] == answer.usage["prompt_tokens"]
    assert record["completion_tokens"] == answer.usage["completion_tokens"] == 5


async def test_a_stream_is_recorded_as_the_engine_counted_it(stage: Stage) -> None:
    stage.play()
    answer = await stage.ask(stream=True)
    assert answer.usage is None, "the client did not ask for it"
    record = record_of(stage.program, answer.request_id)
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, "engine")
    assert record["completion_tokens"] == 5


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(("stream", "source"), [(True, "counted"), (False, "estimated")])
async def test_what_an_engine_does_not_count_is_counted_here(
    stage: Stage, path: str, stream: bool, source: str
) -> None:
    stage.play(counts=False, text="one two three four five six seven eight nine ten")
    answer = await stage.ask(path=path, stream=stream)
    record = record_of(stage.program, answer.request_id)
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, source)
    assert record["prompt_tokens"] > 0
    assert 10 <= record["completion_tokens"] <= 25, "not fewer than there were, and not many more"


async def test_a_client_that_leaves_the_queue_used_nothing(stage: Stage) -> None:
    stage.play(**SLOW)
    _, first = await stage.begin("generating", **ENDLESS)
    _, second = await stage.begin("generating", **ENDLESS)
    name, waiting = await stage.begin("queued")
    full = await stage.ask()
    await gone(waiting)
    assert said(stage, name) == ("cancelled", 499, "estimated", False, False)
    assert full.status == 503
    assert said(stage, full.request_id) == ("refused", 503, "estimated", False, False)
    await gone(first, second)


async def test_a_client_that_leaves_while_its_prompt_is_read_has_no_completion(stage: Stage) -> None:
    stage.play(first_chunk_s=20)
    name, client = await stage.begin("prefilling")
    await gone(client)
    outcome, status, source, _, completion = said(stage, name)
    assert (outcome, status, source, completion) == ("cancelled", 499, "estimated", False)


async def test_a_client_that_leaves_its_stream_pays_for_what_was_sent(stage: Stage) -> None:
    stage.play(**SLOW)
    name, client = await stage.begin("generating", **ENDLESS)
    await gone(client)
    assert said(stage, name) == ("cancelled", 200, "counted", True, True)


async def test_nobody_pays_for_an_engine_that_dies_before_its_first_byte(stage: Stage) -> None:
    stage.play(fault="reset")
    answer = await stage.ask()
    assert answer.status == 503
    assert said(stage, answer.request_id) == ("failed", 503, "estimated", False, False)


async def test_an_engine_that_dies_in_its_stream_leaves_what_it_sent(stage: Stage) -> None:
    stage.play(fault="close", chunks=4)
    answer = await stage.ask(stream=True)
    assert not answer.whole
    assert said(stage, answer.request_id) == ("failed", 200, "counted", True, True)


async def test_what_an_engine_refuses_is_recorded_as_refused(stage: Stage) -> None:
    stage.play(fault="status", status=400)
    answer = await stage.ask()
    assert answer.status == 400
    assert said(stage, answer.request_id) == ("refused", 400, "estimated", False, False)


async def test_an_engine_that_answers_with_an_error_of_its_own_failed(stage: Stage) -> None:
    stage.play(fault="status", status=500)
    answer = await stage.ask()
    assert answer.status == 502
    assert said(stage, answer.request_id) == ("failed", 502, "estimated", False, False)


async def test_an_admin_cancels_a_stream(stage: Stage) -> None:
    stage.play(**SLOW)
    name, client = await stage.begin("generating", **ENDLESS)
    await asyncio.to_thread(stage.program.post, f"/admin/v1/requests/{name}/cancel")
    answer = await client
    assert b'"error"' in answer.body
    assert said(stage, name) == ("cancelled", 200, "counted", True, True)


async def test_an_admin_cancels_a_request_whose_answer_has_not_begun(stage: Stage) -> None:
    stage.play(first_chunk_s=20)
    name, client = await stage.begin("prefilling")
    await asyncio.to_thread(stage.program.post, f"/admin/v1/requests/{name}/cancel")
    answer = await client
    outcome, status, source, _, completion = said(stage, name)
    assert (outcome, status, source, completion) == ("cancelled", answer.status, "estimated", False)


async def test_a_shutdown_records_what_it_cuts_off(tmp_path: Path) -> None:
    with on_stage(tmp_path, CONFIG) as stage:
        stage.play(**SLOW)
        name, client = await stage.begin("generating", **ENDLESS)
        parent = stage.program.parent
        assert parent is not None
        parent.send_signal(signal.SIGTERM)
        answer = await client
        assert not answer.whole
        await asyncio.to_thread(parent.wait, 30)
        stage.program.start()
        assert said(stage, name) == ("cancelled", 200, "counted", True, True)
