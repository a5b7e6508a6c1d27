"""Models of Bedrock behind a whole program: Anthropic's natively, those and others in every client's protocol."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from flockpy.catalog import folders, load_vendors
from tests.cluster.abroad import asked
from tests.cluster.clouds import BEDROCKS_CLAUDE, LLAMA, NOVA, Clouds, clouds
from tests.cluster.surfaces import SURFACES
from tests.simulators.bedrock import Fault

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
TRANSLATED = [(name, model) for model in (BEDROCKS_CLAUDE, NOVA) for name in ("chat", "responses", "ollama")]
EVERYWHERE = [*TRANSLATED, ("messages", NOVA), ("messages", BEDROCKS_CLAUDE)]
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
every = pytest.mark.parametrize(("name", "model"), EVERYWHERE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    with clouds(tmp_path_factory.mktemp("bedrock")) as world:
        yield world


@pytest.fixture
def claude(world: Clouds) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=world.stage.program.url, api_key=world.stage.key, max_retries=0
    ) as client:
        yield client


def post(world: Clouds, model: str = BEDROCKS_CLAUDE, **fields: Any) -> httpx.Response:
    body = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}], **fields}
    with world.stage.program.client(world.stage.key) as client:
        return client.post("/v1/messages", json=body, headers={"anthropic-version": "2023-06-01"})


@every
@both
async def test_they_answer_and_are_metered(world: Clouds, name: str, model: str, stream: bool):
    world.of_bedrock()
    answer, told, record = await asked(world.stage, SURFACES[name], model=model, stream=stream)
    assert answer.status == 200, answer.body
    assert (told.text, told.ended, told.error) == ("Quack from Bedrock: two words", True, "")
    assert (record["prompt_tokens"], record["completion_tokens"], record["cached_tokens"]) == (18, 7, 5)
    assert told.usage == (18, 7)
    assert (record["outcome"], record["tokens_source"], record["node_id"]) == ("ok", "engine", "bedrock")
    known = load_vendors(folders()).find("bedrock", model)
    assert known is not None
    assert float(record["cost_usd"]) == pytest.approx(known.price.cost(18, 7, 5, 2))
    headers = answer.headers
    assert (headers["x-flock-route"], headers["x-flock-node"]) == ("vendor:bedrock", "bedrock")
    assert headers["x-flock-model"] == model
    (heard,) = world.bedrock.state.heard
    assert heard.model == model
    assert heard.headers["authorization"].startswith("AWS4-HMAC-SHA256 ")


@every
@both
async def test_they_call_tools(world: Clouds, name: str, model: str, stream: bool):
    world.of_bedrock(thought="")
    _, told, _ = await asked(world.stage, SURFACES[name], model=model, stream=stream, tools=True)
    assert [json.loads(each) for each in told.arguments] == [{"city": "Zürich", "days": 2}]
    assert (told.text, told.ended) == ("Let me look. 🔎", True)


@pytest.mark.parametrize("model", [BEDROCKS_CLAUDE, NOVA, LLAMA])
@both
def test_the_official_sdk_brings_what_the_tool_said(
    world: Clouds, claude: anthropic.Anthropic, model: str, stream: bool
):
    world.of_bedrock(thought="Rain?")
    asked: Any = {"model": model, "max_tokens": 64, "tools": [TOOL]}
    turns: list[Any] = [{"role": "user", "content": "Raining?"}]

    def answered() -> Any:
        if not stream:
            return claude.messages.create(**asked, messages=turns)
        with claude.messages.stream(**asked, messages=turns) as events:
            return events.get_final_message()

    first = answered()
    assert first.stop_reason == "tool_use"
    call = first.content[-1]
    assert (call.name, call.input) == ("get_weather", {"city": "Zürich", "days": 2})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "42 drops"}
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert answered().content[-1].text == "The tool said: 42 drops"


def test_native_answers_are_the_vendors_own(world: Clouds):
    world.of_bedrock(thought="Hm.")
    said = post(world, metadata={"user_id": "me"}).json()
    assert said["id"] == "msg_bdrk_1"
    assert said["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    (heard,) = world.bedrock.state.heard
    assert heard.body["metadata"] == {"user_id": "me"}
    assert heard.operation == "invoke"
    events = post(world, stream=True)
    assert events.headers["content-type"].startswith("text/event-stream")
    assert "event: message_start\ndata: {" in events.text
    assert world.bedrock.state.heard[-1].operation == "invoke-with-response-stream"


def test_tokens_are_estimated_and_it_is_said(world: Clouds):
    body = {"model": BEDROCKS_CLAUDE, "messages": [{"role": "user", "content": "hi " * 100}]}
    with world.stage.program.client(world.stage.key) as client:
        answer = client.post("/v1/messages/count_tokens", json=body)
    assert answer.status_code == 200
    assert answer.json()["input_tokens"] >= 100
    assert answer.headers["x-flock-tokens"] == "estimated"


ACCOUNT = "123456789012"
REFUSALS = [
    (
        Fault("status", 403, "AccessDeniedException", f"arn:aws:iam::{ACCOUNT}:role/x"),
        "failed",
        "its log says why",
    ),
    (Fault("status", 429, "ThrottlingException", "Too many tokens"), "refused", "Too many tokens"),
    (Fault("status", 424, "ModelErrorException", "the model hiccuped"), "failed", "the model hiccuped"),
    (Fault("status", 500, "InternalServerException", "oh no"), "failed", "oh no"),
    (Fault("status", 503, "ServiceUnavailableException", "not ready"), "refused", "not ready"),
]


@every
@pytest.mark.parametrize(
    ("fault", "outcome", "words"), REFUSALS, ids=lambda it: str(getattr(it, "status", ""))
)
async def test_refusals_are_told_as_the_client_knows_them(
    world: Clouds, name: str, model: str, fault: Fault, outcome: str, words: str
):
    world.of_bedrock(fault=fault)
    surface = SURFACES[name]
    answer, told, record = await asked(world.stage, surface, model=model, stream=fault.status != 429)
    assert answer.status == (502 if fault.status in (424, 500) else surface.busy), answer.body
    assert words in told.message
    assert told.error
    assert ACCOUNT not in answer.body.decode()
    assert (record["outcome"], record["status"]) == (outcome, answer.status)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (0, 0)


@pytest.mark.parametrize(("name", "model"), EVERYWHERE)
async def test_a_request_that_is_wrong_is_the_clients_to_mend(world: Clouds, name: str, model: str):
    world.of_bedrock(fault=Fault("status", 400, "ValidationException", "temperature: must be below 1"))
    answer, told, record = await asked(world.stage, SURFACES[name], model=model, stream=True)
    assert (answer.status, record["status"], record["outcome"]) == (400, 400, "refused")
    assert "temperature: must be below 1" in told.message


@every
@pytest.mark.parametrize(
    ("kind", "within"),
    [
        ("death", "start"),
        ("death", "text"),
        ("death", "arguments"),
        ("exception", "text"),
        ("corrupt", "arguments"),
    ],
)
async def test_a_stream_that_breaks_ends_as_the_protocol_says(
    world: Clouds, name: str, model: str, kind: Any, within: str
):
    # The head of a message, that of its text where there is one, two pieces of it, its end, the head of the call.
    after = (
        {"start": 1, "text": 2, "arguments": 6} if model == NOVA else {"start": 1, "text": 3, "arguments": 8}
    )
    fault = Fault(kind, error="internalServerException", after=after[within])
    world.of_bedrock(fault=fault, frame_s=0.02)
    answer, told, record = await asked(world.stage, SURFACES[name], model=model, stream=True, tools=True)
    assert told.error and not told.ended, answer.body
    assert bool(told.text) == (within != "start")
    assert "Let me look. 🔎".startswith(told.text)
    assert (record["status"], record["outcome"]) == (answer.status, "failed")
    if told.text:
        assert (answer.status, record["tokens_source"]) == (200, "counted")
