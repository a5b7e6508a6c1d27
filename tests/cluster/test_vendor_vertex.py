"""Models of Vertex behind a whole program: Anthropic's natively, those and Gemini in every client's protocol."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from flockpy.catalog import folders, load_vendors
from tests.cluster.abroad import asked
from tests.cluster.clouds import GEMINI, GEMINI_3, VERTEXS_CLAUDE, Clouds, clouds
from tests.cluster.surfaces import SURFACES
from tests.simulators.vertex import LOCATION, PROJECT, Fault
from tests.simulators.vertex_answers import BLOCKED, CALL, Turn

SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}}
ARGUMENTS = {"city": "Köln", "days": 2}
SAID = "Quack from Vertex."
EVERYWHERE = [
    (name, model)
    for model in (GEMINI, VERTEXS_CLAUDE)
    for name in ("chat", "messages", "responses", "ollama")
]
COUNTS = {GEMINI: (11, 8), VERTEXS_CLAUDE: (11, 5)}
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
every = pytest.mark.parametrize(("name", "model"), EVERYWHERE)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    with clouds(tmp_path_factory.mktemp("vertex")) as world:
        yield world


@pytest.fixture
def messages(world: Clouds) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=world.stage.program.url, api_key=world.stage.key, max_retries=0
    ) as client:
        yield client


@pytest.fixture
def responses(world: Clouds) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{world.stage.program.url}/v1", api_key=world.stage.key, max_retries=0
    ) as client:
        yield client


def post(world: Clouds, path: str = "/v1/messages", **fields: Any) -> httpx.Response:
    body = {
        "model": VERTEXS_CLAUDE,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
        **fields,
    }
    with world.stage.program.client(world.stage.key) as client:
        return client.post(path, json=body, headers={"anthropic-version": "2023-06-01"})


@every
@both
async def test_they_answer_and_are_metered(world: Clouds, name: str, model: str, stream: bool):
    world.of_vertex(Turn(thought="Hm."))
    answer, told, record = await asked(world.stage, SURFACES[name], model=model, stream=stream)
    assert answer.status == 200, answer.body
    assert (told.text, told.ended, told.error) == (SAID, True, "")
    prompt, completion = COUNTS[model]
    assert (record["prompt_tokens"], record["completion_tokens"], record["cached_tokens"]) == (
        prompt,
        completion,
        4,
    )
    assert told.usage == (prompt, completion)
    assert (record["outcome"], record["tokens_source"], record["node_id"]) == ("ok", "engine", "vertex")
    known = load_vendors(folders()).find("vertex", model, LOCATION)
    assert known is not None
    assert float(record["cost_usd"]) == pytest.approx(known.price.cost(prompt, completion, 4, 0))
    headers = answer.headers
    assert (headers["x-flock-route"], headers["x-flock-node"]) == ("vendor:vertex", "vertex")
    assert headers["x-flock-model"] == model
    (heard,) = world.vertex.state.heard
    assert heard.headers["authorization"].removeprefix("Bearer ") in world.tokens.granted


@every
@both
async def test_they_call_tools(world: Clouds, name: str, model: str, stream: bool):
    world.of_vertex(CALL)
    _, told, _ = await asked(world.stage, SURFACES[name], model=model, stream=stream, tools=True)
    assert [json.loads(each) for each in told.arguments] == [ARGUMENTS]
    assert told.ended


@pytest.mark.parametrize("model", [GEMINI, GEMINI_3, VERTEXS_CLAUDE])
@both
def test_what_a_tool_said_comes_back_with_the_signature_of_its_call(
    world: Clouds, messages: anthropic.Anthropic, model: str, stream: bool
):
    world.of_vertex(CALL, Turn("It rains."))
    question: Any = {
        "model": model,
        "max_tokens": 64,
        "tools": [{"name": "get_weather", "input_schema": SCHEMA}],
    }
    turns: list[Any] = [{"role": "user", "content": "Raining?"}]

    def answered() -> Any:
        if not stream:
            return messages.messages.create(**question, messages=turns)
        with messages.messages.stream(**question, messages=turns) as events:
            return events.get_final_message()

    first = answered()
    call = first.content[-1]
    assert (first.stop_reason, call.name, call.input) == ("tool_use", "get_weather", ARGUMENTS)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert answered().content[-1].text == "It rains."
    assert CALL.signature in json.dumps(world.vertex.state.heard[-1].body)


@both
def test_codex_protocol_carries_the_signature_too(world: Clouds, responses: openai.OpenAI, stream: bool):
    world.of_vertex(CALL, Turn("It rains."))
    question: Any = {
        "model": GEMINI_3,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA, "strict": False}],
    }
    turns: list[Any] = [{"role": "user", "content": "Raining?"}]

    def answered() -> Any:
        if not stream:
            return responses.responses.create(**question, input=turns)
        with responses.responses.stream(**question, input=turns) as events:
            events.until_done()
            return events.get_final_response()

    first = answered()
    (call,) = [item for item in first.output if item.type == "function_call"]
    assert json.loads(call.arguments) == ARGUMENTS
    turns += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in first.output]
    turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
    assert answered().output_text == "It rains."
    assert CALL.signature in json.dumps(world.vertex.state.heard[-1].body)


def test_native_answers_are_the_vendors_own(world: Clouds):
    world.of_vertex(Turn(thought="Hm."))
    said = post(world, metadata={"user_id": "me"}).json()
    assert said["id"] == "msg_vrtx_01"
    assert said["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": Turn().signature}
    (heard,) = world.vertex.state.heard
    assert heard.body["metadata"] == {"user_id": "me"}
    assert heard.path.endswith(f"/publishers/anthropic/models/{VERTEXS_CLAUDE}:rawPredict")


def test_anthropics_models_count_and_gemini_is_estimated(world: Clouds, messages: anthropic.Anthropic):
    world.of_vertex()
    asked: Any = [{"role": "user", "content": "hi " * 100}]
    counted = messages.messages.count_tokens(model=VERTEXS_CLAUDE, messages=asked)
    assert counted.input_tokens == len(json.dumps(asked)) // 4
    (heard,) = world.vertex.state.heard
    assert heard.path.endswith("count-tokens:rawPredict")
    assert "x-flock-tokens" not in post(world, "/v1/messages/count_tokens").headers
    answer = post(world, "/v1/messages/count_tokens", model=GEMINI, messages=asked)
    assert answer.json()["input_tokens"] >= 100
    assert answer.headers["x-flock-tokens"] == "estimated"


async def test_a_token_that_is_no_longer_accepted_is_renewed_for_the_next_request(world: Clouds):
    world.of_vertex()
    chat = SURFACES["chat"]
    assert (await asked(world.stage, chat, model=GEMINI, stream=False))[0].status == 200
    before = len(world.tokens.asked)
    world.tokens.granted.clear()
    answer, told, record = await asked(world.stage, chat, model=GEMINI, stream=False)
    assert answer.status == 503
    assert "leader's key" in told.message
    assert (record["outcome"], record["prompt_tokens"]) == ("failed", 0)
    assert (await asked(world.stage, chat, model=GEMINI, stream=False))[0].status == 200
    assert len(world.tokens.asked) == before + 1


async def test_without_a_key_for_anthropic_a_claude_is_vertexs(world: Clouds):
    world.of_vertex()
    answer, told, _ = await asked(world.stage, SURFACES["messages"], model="claude-opus-4-8", stream=True)
    assert (told.text, answer.headers["x-flock-node"]) == (SAID, "vertex")


async def test_a_blocked_prompt_is_a_refusal_to_answer(world: Clouds):
    world.of_vertex(BLOCKED)
    answer, told, _ = await asked(world.stage, SURFACES["chat"], model=GEMINI, stream=False)
    assert answer.status == 200
    assert json.loads(answer.body)["choices"][0]["finish_reason"] == "content_filter"
    assert told.text == ""


REFUSALS = [(403, "failed"), (429, "refused"), (500, "failed"), (503, "refused")]


@every
@pytest.mark.parametrize(("status", "outcome"), REFUSALS)
async def test_refusals_are_told_as_the_client_knows_them(
    world: Clouds, name: str, model: str, status: int, outcome: str
):
    message = f"Permission denied on {PROJECT}" if status == 403 else "not now"
    world.of_vertex(faults=(Fault(status, message, retry_delay="9s"),))
    surface = SURFACES[name]
    answer, told, record = await asked(world.stage, surface, model=model, stream=status != 429)
    assert answer.status == (502 if status == 500 else surface.busy), answer.body
    assert answer.headers["retry-after"] == ("1" if status == 403 else "9")
    assert ("Model Garden" if status == 403 else "not now") in told.message
    assert told.error
    assert PROJECT not in answer.body.decode()
    assert (record["outcome"], record["status"]) == (outcome, answer.status)
    assert (record["prompt_tokens"], record["completion_tokens"]) == (0, 0)


@every
@pytest.mark.parametrize("status", [400, 404])
async def test_a_request_that_is_wrong_is_the_clients_to_mend(
    world: Clouds, name: str, model: str, status: int
):
    world.of_vertex(faults=(Fault(status, "temperature: the most is 2"),))
    answer, told, record = await asked(world.stage, SURFACES[name], model=model, stream=True)
    assert (answer.status, record["status"], record["outcome"]) == (status, status, "refused")
    assert "temperature: the most is 2" in told.message


@every
@pytest.mark.parametrize(
    ("broken", "within"),
    [
        ("died", "start"),
        ("torn", "text"),
        ("died", "arguments"),
        ("errored", "text"),
        ("errored bare", "text"),
    ],
)
async def test_a_stream_that_breaks_ends_as_the_protocol_says(
    world: Clouds, name: str, model: str, broken: Any, within: str
):
    if model == GEMINI:  # two pieces of text, and a call that comes whole
        after = {"start": 0, "text": 1, "arguments": 3}[within]
    else:  # the head of the message, a ping, that of the text, all of it, its end, the head of the call, its arguments
        after = {"start": 2, "text": 4, "arguments": 7}[within]
    turn = Turn(SAID, calls=CALL.calls)
    world.of_vertex(turn, faults=(Fault(broken=broken, after=after),), part_s=0.02)
    answer, told, record = await asked(world.stage, SURFACES[name], model=model, stream=True, tools=True)
    assert told.error and not told.ended, answer.body
    assert bool(told.text) == (within != "start")
    assert SAID.startswith(told.text)
    assert (record["status"], record["outcome"]) == (answer.status, "failed")
    if told.text:
        assert (answer.status, record["tokens_source"]) == (200, "counted")
