"""A client that goes away: its engine is free within a second, and what it spent is on its account."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.asking import (
    WORDS,
    Asked,
    await_busy,
    await_decoding,
    await_stage,
    await_usage,
    busy_slots,
    slow_model,
)
from tests.cluster.program import Program, running
from tests.timing import in_time, timed

FREE_S = 1.0


@pytest.fixture(scope="module", params=["llamacpp", "embedded"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    with running(folder, FLOCK_ENGINE=request.param) as started:
        started.add_model(slow_model(), "slow")
        yield started


def a_key(program: Program) -> tuple[str, str]:
    """A name that nobody had before, and its key."""
    name = f"user-{time.monotonic_ns()}"
    return name, program.create_key(name)


@timed
def test_the_slot_of_a_client_that_leaves_its_stream_is_free_within_a_second(program: Program):
    user, key = a_key(program)
    with Asked(program, "slow", key=key, max_tokens=3000) as asked:
        asked.until(b"fox")
        await_busy(program, "slow", 1)
        left = asked.leave()
    freed = await_busy(program, "slow", 0) - left
    print(f"stream: the slot was free after {freed:.2f} s")
    (record,) = await_usage(program, user)
    assert (record["outcome"], record["tokens_source"]) == ("cancelled", "counted")
    assert 4 <= record["completion_tokens"] < 3000
    assert record["prompt_tokens"] > 0
    in_time(freed, FREE_S)


@timed
def test_the_slot_of_a_client_that_leaves_a_whole_answer_is_free_within_a_second(program: Program):
    user, key = a_key(program)
    with Asked(program, "slow", key=key, stream=False, max_tokens=3000) as asked:
        await_busy(program, "slow", 1)
        await_decoding(program, "slow")
        left = asked.leave()
    freed = await_busy(program, "slow", 0) - left
    print(f"whole answer: the slot was free after {freed:.2f} s")
    (record,) = await_usage(program, user)
    assert (record["outcome"], record["tokens_source"], record["status"]) == ("cancelled", "counted", 499)
    assert record["prompt_tokens"] > 0
    in_time(freed, FREE_S)


@pytest.mark.parametrize("stream", [True, False])
@timed
def test_the_slot_of_a_client_that_leaves_while_its_prompt_is_read_is_free_within_a_second(
    program: Program, stream: bool
):
    user, key = a_key(program)
    with Asked(program, "slow", f"{stream} " + WORDS * 400, key=key, stream=stream) as asked:
        await_busy(program, "slow", 1)
        left = asked.leave()
    freed = await_busy(program, "slow", 0) - left
    print(f"prefill: the slot was free after {freed:.2f} s")
    (record,) = await_usage(program, user)
    assert (record["outcome"], record["completion_tokens"]) == ("cancelled", 0)
    assert record["prompt_tokens"] > 1000
    in_time(freed, FREE_S)


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_the_queue_never_reaches_an_engine(program: Program, stream: bool):
    user, key = a_key(program)
    with Asked(program, "slow", max_tokens=3000) as first, Asked(program, "slow", max_tokens=3000) as second:
        await_busy(program, "slow", 2)
        with Asked(program, "slow", key=key, stream=stream, max_tokens=3000):
            await_stage(program, "queued")
        (record,) = await_usage(program, user)
        assert (record["outcome"], record["prompt_tokens"], record["completion_tokens"]) == (
            "cancelled",
            0,
            0,
        )
        assert (record["node_id"], record["ttft_ms"]) == ("", None)
        assert busy_slots(program, "slow") == 2
        first.leave()
        second.leave()
    await_busy(program, "slow", 0)


def test_a_request_that_an_admin_cancels_ends_with_an_error(program: Program):
    with Asked(program, "slow", max_tokens=3000) as asked:
        asked.until(b"fox")
        (live,) = await_stage(program, "generating")
        program.post(f"/admin/v1/requests/{live['request_id']}/cancel")
        said = asked.everything()
    assert "cancelled by" in said
    assert "[DONE]" not in said
    await_busy(program, "slow", 0)
