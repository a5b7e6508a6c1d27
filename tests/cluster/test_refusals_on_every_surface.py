"""Requests that are not served: each surface has its status, its shape of an error and what says when to come back."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.cluster.asking import await_stage
from tests.cluster.fake import Stage, on_stage
from tests.cluster.metering import exported, record_of
from tests.cluster.program import eventually
from tests.cluster.surfaces import SURFACES, Surface, Told
from tests.cluster.traffic import Answer, ask
from tests.tiny_models import tiny_model

DEPTH = 2 * len(SURFACES)
CONFIG = f"limits: {{queue_depth: {DEPTH}, queue_wait_seconds: 3}}\n"
KINDS = {  # by surface: bad key, forbidden, unknown model, spent quota, busy
    "chat": (
        "invalid_api_key",
        "permission_denied",
        "model_not_found",
        "insufficient_quota",
        "overloaded",
    ),
    "messages": (
        "authentication_error",
        "permission_error",
        "not_found_error",
        "rate_limit_error",
        "overloaded_error",
    ),
}
KINDS["responses"] = KINDS["chat"]
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(tmp_path_factory.mktemp("refusals"), CONFIG) as stage:
        yield stage


@pytest.fixture(scope="module")
def narrow(stage: Stage) -> str:
    """A key that may use another model."""
    return stage.program.create_key("narrow", models=["flock-demo"])


@pytest.fixture(scope="module")
def spent(stage: Stage) -> str:
    """A key whose quota is too small for anything."""
    return stage.program.create_key("spent", daily_token_quota=1)


@pytest.fixture(params=SURFACES)
def surface(request: pytest.FixtureRequest) -> Surface:
    return SURFACES[request.param]


async def refused(
    stage: Stage, surface: Surface, key: str, stream: bool, **fields: Any
) -> tuple[Answer, Told]:
    answer = await ask(stage.program.port, surface.ask(key, stream=stream, **fields))
    assert answer.headers["content-type"] == "application/json"
    told = surface.told(answer)
    assert told.message
    assert "Traceback" not in told.message
    assert not told.ended
    return answer, told


def check(surface: Surface, situation: int, told: Told) -> None:
    if surface.name in KINDS:
        assert told.error == KINDS[surface.name][situation]


@both
async def test_a_wrong_key_is_401_and_not_to_be_tried_again(stage: Stage, surface: Surface, stream: bool):
    answer, told = await refused(stage, surface, "nonsense", stream)
    assert answer.status == 401
    assert answer.headers["x-should-retry"] == "false"
    check(surface, 0, told)


@both
async def test_a_model_that_a_key_may_not_use_is_403(
    stage: Stage, surface: Surface, narrow: str, stream: bool
):
    answer, told = await refused(stage, surface, narrow, stream)
    assert answer.status == 403
    check(surface, 1, told)


@both
async def test_an_unknown_model_is_404_with_names_that_are_near(stage: Stage, surface: Surface, stream: bool):
    answer, told = await refused(stage, surface, stage.key, stream, model="fakee")
    assert answer.status == 404
    assert answer.headers["x-should-retry"] == "false"
    assert "fake" in told.message.replace("'fakee'", "")
    check(surface, 2, told)


@both
async def test_a_spent_quota_is_429_and_says_how_long(
    stage: Stage, surface: Surface, spent: str, stream: bool
):
    answer, told = await refused(stage, surface, spent, stream)
    assert answer.status == 429
    assert answer.headers["x-should-retry"] == "false"
    assert 1 <= int(answer.headers["retry-after"]) <= 24 * 3600
    assert answer.headers["x-ratelimit-remaining-tokens"] == "1"
    assert answer.headers["x-ratelimit-reset-tokens"].endswith("s")
    check(surface, 3, told)
    assert answer.request_id not in await asyncio.to_thread(exported, stage.program)


async def at_once(stage: Stage, model: str) -> list[tuple[Surface, bool, Answer]]:
    """What everybody is told who asks for a model at the same time."""

    async def one(surface: Surface, stream: bool) -> tuple[Surface, bool, Answer]:
        what = surface.ask(stage.key, stream=stream, model=model)
        return surface, stream, await ask(stage.program.port, what)

    return await asyncio.gather(
        *(one(surface, stream) for surface in SURFACES.values() for stream in (True, False))
    )


def check_overload(surface: Surface, stream: bool, answer: Answer, words: str) -> None:
    """As a status, or in a stream that was begun so that its client would not give up."""
    told = surface.told(answer)
    assert words in told.message
    assert (told.text, told.ended) == ("", False)
    if answer.status == 200:
        assert stream
        assert surface.name != "responses" or told.error == "rate_limit_exceeded"
    else:
        assert answer.status == surface.busy
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert answer.headers["x-should-retry"] == "true"
        check(surface, 4, told)


async def test_a_line_that_is_full_or_too_slow_is_overloaded(stage: Stage):
    stage.play(endless=True, chunk_s=0.05)
    holders = [(await stage.begin("generating", stream=True, max_tokens=2000))[1] for _ in range(2)]
    try:
        waiting = asyncio.create_task(at_once(stage, "fake"))
        await asyncio.to_thread(await_stage, stage.program, "queued", DEPTH)
        for surface, stream, answer in await at_once(stage, "fake"):
            assert answer.status == surface.busy
            check_overload(surface, stream, answer, "queue of model fake is full")
        for surface, stream, answer in await waiting:
            assert (answer.status == 200) is stream
            check_overload(surface, stream, answer, "all its slots are busy")
            record = await asyncio.to_thread(record_of, stage.program, answer.request_id)
            said = record["outcome"], record["status"], record["prompt_tokens"], record["completion_tokens"]
            assert said == ("refused", answer.status, 0, 0)
    finally:
        for holder in holders:
            holder.cancel()
            with suppress(asyncio.CancelledError):
                await holder


async def test_a_model_that_loads_for_too_long_is_overloaded(stage: Stage):
    program = stage.program
    program.post("/admin/v1/models", {"ref": f"file:{tiny_model(mode='text')}", "id": "late"})
    eventually(lambda: program.model_state("late") == "installed", "it is installed")
    agent = program.process("agent")
    agent.suspend()
    try:
        answers = await at_once(stage, "late")
    finally:
        agent.resume()
    for surface, stream, answer in answers:
        assert (answer.status == 200) is stream
        check_overload(surface, stream, answer, "it is still loading")


@both
async def test_a_body_that_lacks_what_it_needs_is_400_and_names_the_field(
    stage: Stage, surface: Surface, stream: bool
):
    for field in surface.prompt:
        if field in ("messages", "input", "prompt"):
            what = surface.ask(stage.key, stream=stream)
            what.body[field] = 7
            answer = await ask(stage.program.port, what)
            assert answer.status == 400, answer.body
            assert field in surface.told(answer).message
            assert "retry-after" not in answer.headers


async def test_an_engine_that_is_gone_is_unreachable_and_the_client_learns_what_starts_it(stage: Stage):
    """The last test: the engine does not come back."""
    stage.play(fault="crash", chunks=-1)
    messages = SURFACES["messages"]
    met = messages.told(await ask(stage.program.port, messages.ask(stage.key, stream=False)))
    assert met.error == "overloaded_error"
    gone = "nobody waits for it any more"
    await asyncio.to_thread(eventually, lambda: stage.program.model_state("fake") == "failed", gone)
    for surface, _, answer in await at_once(stage, "fake"):
        told = surface.told(answer)
        assert answer.status == surface.busy, answer.body
        assert stage.engine in told.message
        assert "llama-server" in told.message
        assert 1 <= int(answer.headers["retry-after"]) <= 30
        assert answer.headers["x-should-retry"] == "true"
        if surface.name in KINDS:
            assert told.error == ("overloaded_error" if surface.name == "messages" else "engine_unreachable")
