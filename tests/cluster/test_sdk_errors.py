"""What goes wrong arrives in the official SDKs of OpenAI, Anthropic and Ollama as the exception meant for it."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

from tests.cluster.fake import Stage, on_stage
from tests.cluster.sdks import SDKS

TEXT = "one two three four five six"
Errors = tuple[type[Exception], ...]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with on_stage(tmp_path_factory.mktemp("sdks"), "") as stage:
        yield stage


both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
sdks = pytest.mark.parametrize("name", SDKS)


def expect(name: str, kind: str, status: int, call: Callable[[], object]) -> Any:
    """The exception of that name that a call ends with; Ollama's SDK has but one."""
    package = SDKS[name][1]
    expected: type[Any] = getattr(package, kind) if package else ollama.ResponseError
    with pytest.raises(expected) as caught:
        call()
    assert caught.value.status_code == status
    return caught.value


def refusals(stage: Stage) -> float:
    """How many requests were refused before they were admitted."""
    with stage.program.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("flockpy_refusals_total{"))


@both
@sdks
def test_what_cannot_succeed_later_is_asked_for_once(stage: Stage, name: str, stream: bool):
    call = SDKS[name][0]
    narrow = stage.program.create_key("narrow", models=["flock-demo"])
    spent = stage.program.create_key("spent", daily_token_quota=1)
    cases = (
        ("AuthenticationError", 401, "nonsense", "fake"),
        ("PermissionDeniedError", 403, narrow, "fake"),
        ("NotFoundError", 404, stage.key, "fakee"),
        ("RateLimitError", 429, spent, "fake"),
    )
    for kind, status, key, model in cases:
        before = refusals(stage)
        expect(name, kind, status, lambda k=key, m=model: call(stage, k, m, stream=stream))
        assert refusals(stage) - before == 1, kind


@both
@sdks
def test_a_prompt_that_is_too_long_is_a_bad_request(stage: Stage, name: str, stream: bool):
    stage.play(context=1)
    call = SDKS[name][0]
    error = expect(name, "BadRequestError", 400, lambda: call(stage, stage.key, "fake", stream=stream))
    if name == "messages":
        assert "prompt is too long: 2 tokens > 1 maximum" in error.message
    elif name != "ollama":
        assert error.code == "context_length_exceeded"


@both
@sdks
def test_an_engine_that_fails_is_asked_again_before_its_error_is_raised(
    stage: Stage, name: str, stream: bool
):
    stage.play(fault="status", status=500)
    call = SDKS[name][0]
    expect(name, "InternalServerError", 502, lambda: call(stage, stage.key, "fake", stream=stream))


@sdks
@pytest.mark.parametrize("fault", ["close", "end", "event"])
def test_a_stream_that_fails_raises(stage: Stage, name: str, fault: str):
    stage.play(text=TEXT, fault=fault, chunks=4)
    raised: dict[str, Errors] = {
        "chat": (openai.APIError,),
        "responses": (RuntimeError,),  # "Didn't receive a `response.completed` event."
        "messages": (anthropic.APIStatusError,),
        "ollama": (ollama.ResponseError,),
    }
    with pytest.raises(raised[name]) as caught:
        SDKS[name][0](stage, stage.key, "fake", stream=True)
    assert name == "responses" or "engine" in str(caught.value) or "scripted fault" in str(caught.value)


def test_a_response_that_fails_tells_why_in_its_last_event(stage: Stage):
    stage.play(text=TEXT, fault="close", chunks=4)
    with (
        openai.OpenAI(base_url=f"{stage.program.url}/v1", api_key=stage.key) as client,
        client.responses.create(model="fake", input="two words", stream=True) as events,
    ):
        last = list(events)[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "rate_limit_exceeded"
    assert "Please try again in 1s." in last.response.error.message


@sdks
def test_an_engine_that_is_back_is_used_by_the_next_request(stage: Stage, name: str):
    stage.play(text=TEXT)
    for stream in (True, False):
        assert SDKS[name][0](stage, stage.key, "fake", stream=stream) == TEXT


@pytest.mark.parametrize("name", ["chat", "responses", "messages"])
def test_an_engine_that_cannot_be_reached_is_waited_for(stage: Stage, name: str):
    """The client comes again when it was told to, and is served."""
    stage.play(fault="close", chunks=-1)
    back = threading.Timer(
        2, stage.play, kwargs={"text": TEXT}
    )  # 1 s after the client was refused, 1 s before it comes
    back.start()
    try:
        assert SDKS[name][0](stage, stage.key, "fake", stream=False) == TEXT
    finally:
        back.join()
