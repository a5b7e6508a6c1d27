"""How Vertex AI is asked, and what it answers: sent for real, to a simulator that refuses what the real one does."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import pytest

from controlplane.egress.vertex import Vertex
from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.base import Usage
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Meta,
    Request,
    Stop,
    Translated,
    fold,
)
from controlplane.protocols.responses import ResponsesSurface
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    LeaderRefused,
    Overloaded,
    StartError,
    UnknownModel,
)
from tests.simulators.vertex import LOCATION, PROJECT, TOKEN, Fault, running
from tests.simulators.vertex import Vertex as Simulator
from tests.simulators.vertex_answers import BLOCKED, CALL, Turn
from tests.unit.controlplane.egress.vertex_asked import CLAUDE, GEMINI, GEMINI_3, HI, Tokens, asked, send

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
META = Meta("9f", "m", 1760000000)
CONVERSATIONS: Mapping[Literal["chat", "messages", "responses"], tuple[Translated, dict[str, Any]]] = {
    "chat": (
        TranslatedChat(),
        {
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "weather?"}],
            "tools": [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}],
        },
    ),
    "messages": (
        MessagesSurface(),
        {
            "max_tokens": 500,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": "weather?"}],
            "tools": [{"name": "get_weather", "input_schema": SCHEMA}],
        },
    ),
    "responses": (
        ResponsesSurface(),
        {
            "instructions": "Be brief.",
            "input": "weather?",
            "tools": [{"type": "function", "name": "get_weather", "parameters": SCHEMA}],
        },
    ),
}


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def cloud() -> Iterator[Simulator]:
    with running() as cloud:
        yield cloud


@pytest.fixture
def vertex(cloud: Simulator, tokens: Tokens) -> Vertex:
    return Vertex(PROJECT, LOCATION, tokens, base_url=cloud.url)


def told(surface: Translated, request: Request, deltas: Sequence[Delta]) -> str:
    """All that a client of the surface gets, streamed and whole."""
    encoder = surface.encoder(request, META)
    streamed = encoder.feed(deltas) + encoder.end()
    return (streamed + surface.render(request, fold(deltas), META)).decode()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [GEMINI, GEMINI_3, CLAUDE])
async def test_an_answer_is_read(vertex: Vertex, cloud: Simulator, model: str, stream: bool):
    cloud.state.turns.append(Turn("Quack, quäck.", thought="Hm."))
    answer = fold(await send(vertex, asked(HI, model=model, stream=stream)))
    assert (answer.text, answer.reasoning, answer.stop) == ("Quack, quäck.", "Hm.", Stop("stop"))
    thoughts = 0 if model == CLAUDE else 3
    assert answer.usage == Usage(11, 5 + thoughts, 4)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [GEMINI_3, CLAUDE])
@pytest.mark.parametrize("surface", ["chat", "messages", "responses"])
async def test_a_tool_is_called_and_its_result_is_brought_on_every_surface(
    vertex: Vertex,
    cloud: Simulator,
    surface: Literal["chat", "messages", "responses"],
    model: str,
    stream: bool,
):
    cloud.state.turns += [CALL, Turn("It rains.")]
    translated, body = CONVERSATIONS[surface]
    body = {"model": "m", **body}
    first = translated.request(json.dumps(body).encode())
    deltas = await send(vertex, asked(first, model=model, stream=stream))
    assert "get_weather" in told(translated, first, deltas)
    rendered = json.loads(translated.render(first, fold(deltas), META))
    again = translated.request(json.dumps(_brought(surface, body, rendered)).encode())
    deltas = await send(vertex, asked(again, model=model, stream=stream))
    assert told(translated, again, deltas).count("It rains.") >= 1
    if model == GEMINI_3:
        signature = cloud.state.heard[-1].body["contents"][1]["parts"][-1]["thoughtSignature"]
        assert (signature == CALL.signature) is (surface != "chat"), "a chat has no place for signatures"


def _brought(surface: str, body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """The next request of a client: what it said, what it was told, what its tool has found."""
    if surface == "chat":
        message = answer["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "rain"}
        return body | {"messages": [*body["messages"], message, result]}
    if surface == "messages":
        call = next(block for block in answer["content"] if block["type"] == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": "rain"}
        said = [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [result]}]
        return body | {"messages": [*body["messages"], *said]}
    call = next(item for item in answer["output"] if item["type"] == "function_call")
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
    said = {"type": "message", "role": "user", "content": body["input"]}
    return body | {"input": [said, *answer["output"], result]}


async def test_a_blocked_prompt_is_an_answer_that_was_filtered(vertex: Vertex, cloud: Simulator):
    cloud.state.turns.append(BLOCKED)
    assert await send(vertex, asked(HI)) == [Counted(Usage(11, 0)), Stop("content_filter")]


@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        (Fault(429, "Resource exhausted, please try again later."), Overloaded, 1),
        (Fault(429, "Resource exhausted.", retry_delay="17.5s"), Overloaded, 17),
        (Fault(503, "The service is currently unavailable."), Overloaded, 1),
        (Fault(500, "Internal error encountered."), EngineDied, 1),
        (Fault(400, "The input token count (9) exceeds the maximum number of tokens."), ContextTooLong, None),
        (Fault(400, "Invalid argument."), BadRequest, None),
        (Fault(403, f"Permission denied on resource projects/{PROJECT}."), LeaderRefused, 1),
        (Fault(404, f"projects/{PROJECT}/models/x was not found."), UnknownModel, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_it_refuses_is_told_as_what_it_is(
    vertex: Vertex, cloud: Simulator, fault: Fault, kind: type[FlockError], wait: int | None, stream: bool
):
    cloud.state.faults.append(fault)
    with pytest.raises(kind) as raised:
        await send(vertex, asked(HI, stream=stream))
    assert type(raised.value) is kind and raised.value.retry_after == wait
    assert PROJECT not in raised.value.message


async def test_a_token_that_is_not_accepted_is_fetched_anew_the_next_time(
    vertex: Vertex, cloud: Simulator, tokens: Tokens
):
    cloud.state.tokens.clear()
    with pytest.raises(EngineUnreachable) as raised:
        await send(vertex, asked(HI))
    assert "does not accept the leader's key" in raised.value.message
    cloud.state.tokens.add(TOKEN)
    assert fold(await send(vertex, asked(HI))).text and tokens.fetched == 2


@pytest.mark.parametrize("model", [GEMINI, CLAUDE])
async def test_a_stream_that_dies_is_a_failure(vertex: Vertex, cloud: Simulator, model: str):
    cloud.state.faults += [Fault(broken="died"), Fault(broken="died")]
    with pytest.raises(EngineDied):
        await send(vertex, asked(HI, model=model, stream=True))
    with pytest.raises(EngineDied):
        await send(vertex, asked(HI, model=model))


@pytest.mark.parametrize("broken", ["errored", "errored bare"])
async def test_an_error_in_mid_stream_is_a_failure(vertex: Vertex, cloud: Simulator, broken: Any):
    cloud.state.faults.append(Fault(broken=broken))
    *_, last = await send(vertex, asked(HI, stream=True))
    assert isinstance(last, Failure) and isinstance(last.error, Overloaded)
    assert last.error.message == "the model is overloaded"


def test_what_is_no_error_of_google_is_told_as_it_is(vertex: Vertex):
    assert vertex.refusal(502, b"<html>", None).message == "Google Vertex AI answered: <html>"
    assert vertex.refusal(502, b"[]", None).message == "Google Vertex AI answered: status 502"


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
async def test_each_location_has_its_host(tokens: Tokens, location: str, host: str):
    posting = await Vertex("example.com:quack-1", location, tokens).posting(asked(HI, stream=True))
    assert posting.url == (
        f"https://{host}/v1beta1/projects/example.com:quack-1/locations/{location}"
        f"/publishers/google/models/{GEMINI}:streamGenerateContent?alt=sse"
    )
    assert TOKEN not in repr(posting)


@pytest.mark.parametrize(
    "model",
    [
        *(
            "gemini-2.5-flash/../../x",
            "gemini-x:predict",
            "gemini-x?alt=x",
            "gemini-x#",
            "gemini-%2e",
            "gemini-x@1@2",
        ),
        *(
            "claude-x@../y",
            "gemini-",
            "gemini-Ü",
            "claude-x y",
            "gemini-x\n",
            "../gemini-x",
            "gpt-5",
            "x" * 200,
        ),
    ],
)
async def test_no_name_changes_where_it_is_asked(tokens: Tokens, model: str):
    vertex = Vertex(PROJECT, LOCATION, tokens)
    assert not vertex.claims(model) and vertex.manner("chat", model) is None
    with pytest.raises(BadRequest, match="no name of a model there"):
        await vertex.posting(asked(HI, model=model))
    assert tokens.fetched == 0


@pytest.mark.parametrize(
    ("project", "location"), [("", "us"), ("a/b", "us"), ("quack-1", "evil.example/"), ("a", "")]
)
def test_a_place_that_is_none_is_refused_at_the_start(tokens: Tokens, project: str, location: str):
    with pytest.raises(StartError, match=r"router\.fallback\.vertex_"):
        Vertex(project, location, tokens)


@pytest.mark.parametrize(
    ("surface", "model", "manner"),
    [
        *((surface, GEMINI, "translated") for surface in ("chat", "messages", "ollama", "responses")),
        *((surface, CLAUDE, "translated") for surface in ("chat", "ollama", "responses")),
        ("messages", CLAUDE, "native"),
        *((surface, GEMINI, None) for surface in ("completions", "embeddings", "rerank", "transcriptions")),
        ("embeddings", "gemini-embedding-001", None),
        ("chat", "gemini-embedding-001", None),
        ("chat", "gpt-5", None),
    ],
)
def test_each_surface_reaches_it_in_its_manner(tokens: Tokens, surface: Any, model: str, manner: str | None):
    assert Vertex(PROJECT, LOCATION, tokens).manner(surface, model) == manner
