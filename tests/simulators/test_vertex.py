"""The simulated Vertex AI stands in for the real one before the official clients, of Google and of Anthropic."""

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.lib.vertex import AnthropicVertex
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials

from tests.simulators.vertex import LOCATION, PROJECT, TOKEN, Fault, Vertex, running
from tests.simulators.vertex_answers import BLOCKED, CALL, Turn

GEMINI, GEMINI_3, CLAUDE = "gemini-2.5-flash", "gemini-3-pro-preview", "claude-sonnet-4-5@20250929"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [
    types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name="get_weather", description="The weather", parameters_json_schema=SCHEMA
            )
        ]
    )
]


@pytest.fixture
def vertex() -> Iterator[Vertex]:
    with running() as vertex:
        yield vertex


@pytest.fixture
def google(vertex: Vertex) -> Iterator[genai.Client]:
    with genai.Client(
        vertexai=True,
        project=PROJECT,
        location=LOCATION,
        credentials=Credentials(TOKEN),  # pyright: ignore[reportCallIssue, reportUnknownArgumentType]
        http_options=types.HttpOptions(base_url=vertex.url),
    ) as client:
        yield client


@pytest.fixture
def claude(vertex: Vertex) -> Iterator[AnthropicVertex]:
    with AnthropicVertex(
        region=LOCATION, project_id=PROJECT, access_token=TOKEN, base_url=f"{vertex.url}/v1", max_retries=0
    ) as client:
        yield client


def test_googles_client_gets_a_whole_answer(google: genai.Client):
    answer = google.models.generate_content(
        model=GEMINI,
        contents="hi",
        config=types.GenerateContentConfig(
            system_instruction="Be a duck.",
            temperature=0.5,
            max_output_tokens=99,
            seed=1,
            stop_sequences=["x"],
        ),
    )
    assert answer.text == "Quack from Vertex."
    assert answer.usage_metadata is not None and answer.usage_metadata.thoughts_token_count == 3


def test_googles_client_gets_a_stream_with_thoughts(vertex: Vertex, google: genai.Client):
    vertex.state.turns.append(Turn(thought="Hm, a duck."))
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=100)
    config = types.GenerateContentConfig(thinking_config=thinking)
    parts = [
        part
        for chunk in google.models.generate_content_stream(model=GEMINI, contents="hi", config=config)
        for candidate in chunk.candidates or ()
        for part in (candidate.content and candidate.content.parts) or ()
    ]
    assert "".join(part.text or "" for part in parts if part.thought) == "Hm, a duck."
    assert "".join(part.text or "" for part in parts if not part.thought) == "Quack from Vertex."


@pytest.mark.parametrize("streamed", [False, True])
def test_googles_client_has_its_tool_called_and_brings_the_result(
    vertex: Vertex, google: genai.Client, streamed: bool
):
    vertex.state.turns += [CALL, Turn("It rains.")]
    config = types.GenerateContentConfig(tools=[*TOOLS])
    asked: dict[str, Any] = {"model": GEMINI_3, "contents": "weather?", "config": config}
    models = google.models
    chunks = models.generate_content_stream(**asked) if streamed else [models.generate_content(**asked)]
    said = [part for chunk in chunks for part in chunk.parts or () if part.function_call or part.text]
    (call,) = [part.function_call for part in said if part.function_call]
    assert (call.name, call.args) == ("get_weather", {"city": "Köln", "days": 2})
    result = types.Part.from_function_response(name="get_weather", response={"output": "rain"})
    contents = [
        types.Content(role="user", parts=[types.Part(text="weather?")]),
        types.Content(role="model", parts=said),
        types.Content(role="user", parts=[result]),
    ]
    assert models.generate_content(model=GEMINI_3, contents=[*contents], config=config).text == "It rains."


def test_what_google_refuses_is_refused(vertex: Vertex, google: genai.Client):
    called = types.Content(role="model", parts=[types.Part.from_function_call(name="get_weather", args={})])
    hi = types.Content(role="user", parts=[types.Part(text="hi")])
    result = types.Part.from_function_response(name="get_weather", response={"output": "rain"})
    told = types.Content(role="user", parts=[result])

    def refused(model: str, *contents: types.Content, **config: Any) -> str:
        with pytest.raises(errors.ClientError) as raised:
            google.models.generate_content(
                model=model, contents=[*contents], config=types.GenerateContentConfig(**config)
            )
        assert raised.value.code == 400
        return str(raised.value.message)

    assert "thought_signature" in refused(GEMINI_3, hi, called, told)
    assert "number of function response parts" in refused(GEMINI, hi, called, hi)
    assert "number of function response parts" in refused(GEMINI, hi, told)
    assert "valid role" in refused(GEMINI, types.Content(role="assistant", parts=[types.Part(text="hi")]))
    assert "initialized" in refused(GEMINI, types.Content(role="user", parts=[types.Part(text="")]))
    assert "thinking is not supported" in refused(
        "gemini-2.0-flash", hi, thinking_config=types.ThinkingConfig(thinking_budget=5)
    )
    assert "mime type" in refused(GEMINI, hi, tools=TOOLS, response_mime_type="application/json")
    with pytest.raises(errors.ClientError) as raised:
        google.models.generate_content(model="gemini-9", contents="hi")
    assert raised.value.code == 404


def test_faults_are_what_googles_client_takes_them_for(vertex: Vertex, google: genai.Client):
    vertex.state.faults += [Fault(status) for status in (429, 500, 503)]
    for status, kind in ((429, errors.ClientError), (500, errors.ServerError), (503, errors.ServerError)):
        with pytest.raises(kind) as raised:
            google.models.generate_content(model=GEMINI, contents="hi")
        assert raised.value.code == status
    for broken in ("errored", "errored bare"):
        vertex.state.faults.append(Fault(broken=broken))
        with pytest.raises(errors.ServerError) as raised:
            list(google.models.generate_content_stream(model=GEMINI, contents="hi"))
        assert raised.value.code == 503
    vertex.state.tokens.clear()
    with pytest.raises(errors.ClientError) as raised:
        google.models.generate_content(model=GEMINI, contents="hi")
    assert raised.value.code == 401


def test_a_blocked_prompt_is_told_as_google_does(vertex: Vertex, google: genai.Client):
    vertex.state.turns.append(BLOCKED)
    answer = google.models.generate_content(model=GEMINI, contents="hi")
    assert (
        answer.prompt_feedback is not None
        and answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_anthropics_client_has_its_tool_called(vertex: Vertex, claude: AnthropicVertex, streamed: bool):
    vertex.state.turns.append(CALL)
    asked: Any = {
        "model": CLAUDE,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "get_weather", "input_schema": SCHEMA}],
    }
    if streamed:
        with claude.messages.stream(**asked) as stream:
            message = stream.get_final_message()
    else:
        message = claude.messages.create(**asked)
    thought, call = message.content
    assert thought.type == "thinking" and thought.signature == CALL.signature
    assert call.type == "tool_use" and call.input == {"city": "Köln", "days": 2}
    assert message.stop_reason == "tool_use" and message.usage.cache_read_input_tokens == 4


def test_what_anthropics_models_are_not_offered_there_is_refused(claude: AnthropicVertex):
    with pytest.raises(anthropic.BadRequestError, match="anthropic-beta"):
        claude.messages.create(
            model=CLAUDE,
            max_tokens=64,
            messages=[{"role": "user", "content": "hi"}],
            extra_headers={"anthropic-beta": "effort-2025-11-24"},
        )


def test_anthropics_client_has_a_prompt_counted(claude: AnthropicVertex):
    counted = claude.messages.count_tokens(model=CLAUDE, messages=[{"role": "user", "content": "hi"}])
    assert counted.input_tokens > 0
