"""The simulated OpenAI: its official client takes what it says, and it refuses what OpenAI refuses."""

import base64
import copy
import io
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.simulators.openai_models import encrypted
from tests.simulators.openai_rules import refusals
from tests.simulators.openai_vendor import OpenAiVendor, openai_vendor
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import KEY, Fault

SCHEMA: Any = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
FUNCTION: Any = {"name": "Bash", "description": "Runs a command.", "parameters": SCHEMA}
CHAT_TOOL: Any = {"type": "function", "function": FUNCTION}
TOOL: Any = {"type": "function", **FUNCTION, "strict": False}
USER: Any = {"role": "user", "content": "Please do flock-task:read:secret.txt"}
SECRET = "FLOCK-SECRET-0123456789ab"
CALLED: Any = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c", "type": "function", "function": {"name": "Bash", "arguments": "{}"}}],
}
ANSWERED: Any = {"role": "tool", "tool_call_id": "c", "content": SECRET}
CALLS = Turn("I will look.", (Call("Bash", json.dumps({"command": "cat secret.txt"})),))
CODEX = Path(__file__).parents[1] / "golden" / "clients" / "codex"
CLIENTS: list[openai.OpenAI] = []


@pytest.fixture(scope="module")
def running() -> Iterator[OpenAiVendor]:
    with openai_vendor() as vendor:
        yield vendor


@pytest.fixture
def vendor(running: OpenAiVendor) -> Iterator[OpenAiVendor]:
    running.script()
    running.fails_softly = False
    yield running
    while CLIENTS:
        CLIENTS.pop().close()


def client(vendor: OpenAiVendor, key: str = KEY, **more: Any) -> Any:
    CLIENTS.append(openai.OpenAI(base_url=f"{vendor.url}/v1", api_key=key, max_retries=0, **more))
    return CLIENTS[-1]


def test_its_client_runs_a_loop_of_tools_in_a_chat(vendor: OpenAiVendor):
    vendor.script(reasoning="I should look.", split=3, cache_read=5)
    api, asked = client(vendor), {"model": "gpt-5", "tools": [CHAT_TOOL], "max_completion_tokens": 900}
    chunks = list(api.chat.completions.create(messages=[USER], stream=True, **asked))
    assert not any(chunk.usage for chunk in chunks) and chunks[-1].choices[0].finish_reason == "tool_calls"
    counted = {"stream_options": {"include_usage": True}}
    *_, last = api.chat.completions.create(messages=[USER], stream=True, **counted, **asked)
    assert last.choices == [] and last.usage.completion_tokens_details.reasoning_tokens == 3
    whole = api.chat.completions.create(messages=[USER], **asked)
    assert last.usage == whole.usage and whole.usage.prompt_tokens_details.cached_tokens == 5
    call = whole.choices[0].message
    answered = {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": SECRET}
    end = api.chat.completions.create(messages=[USER, call, answered], **asked)
    assert end.choices[0].message.content == f"It says {SECRET}." and end._request_id.startswith("req_")
    assert vendor.refusals == []


def test_its_client_runs_a_loop_of_tools_in_responses_with_reasoning(vendor: OpenAiVendor):
    vendor.script(reasoning="I should look.", split=3, cache_read=5)
    asked: Any = {"model": "gpt-5.1-codex", "tools": [TOOL], "store": False, "reasoning": {"summary": "auto"}}
    asked["include"] = ["reasoning.encrypted_content"]
    api = client(vendor)
    with api.responses.stream(input=[USER], **asked) as stream:
        kinds = [event.type for event in stream]
        first = stream.get_final_response()
    assert kinds[:2] == ["response.created", "response.in_progress"] and kinds[-1] == "response.completed"
    assert {"response.reasoning_summary_text.delta", "response.function_call_arguments.done"} < set(kinds)
    thought, call = first.output
    assert thought.encrypted_content.startswith("gAAAAA") and thought.summary[0].text == "I should look."
    output = {"type": "function_call_output", "call_id": call.call_id, "output": SECRET}
    again = [USER, *(item.model_dump(exclude_none=True) for item in first.output), output]
    again[2].pop("parsed_arguments", None)
    end = api.responses.create(input=again, **asked)
    assert end.output_text == f"It says {SECRET}."
    assert (end.usage.input_tokens_details.cached_tokens, end.status) == (5, "completed")
    assert vendor.refusals == []


def test_its_other_routes_answer_its_client(vendor: OpenAiVendor):
    api = client(vendor)
    said = api.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello")
    pieces = api.completions.create(model="gpt-3.5-turbo-instruct", prompt="Hello", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == said.choices[0].text
    floats = api.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], encoding_format="float", dimensions=3
    )
    packed = api.embeddings.create(
        model="text-embedding-3-small", input=["a", "b"], encoding_format="base64", dimensions=3
    )
    raw = struct.unpack("<3f", base64.b64decode(packed.data[1].embedding))
    assert list(raw) == floats.data[1].embedding
    heard = api.audio.transcriptions.create(model="whisper-1", file=("a.wav", io.BytesIO(b"12345")))
    assert heard.text == "5 bytes"
    assert "gpt-5.5" in [model.id for model in api.models.list()]
    with pytest.raises(openai.NotFoundError):
        api.models.retrieve("gpt-none")


def test_it_keeps_what_it_received_to_the_byte(vendor: OpenAiVendor):
    body = b'{ "model":"gpt-4o", "messages":[{"role":"user","content":"\\u0041"}] }'
    asked = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    answer = httpx.post(f"{vendor.url}/v1/chat/completions", content=body, headers=asked)
    (received,) = vendor.requests
    assert (received.body, received.refused) == (body, "")
    assert b"\r\nAuthorization: Bearer " + KEY.encode() in received.head
    assert answer.headers["x-ratelimit-remaining-requests"] == "9999"
    assert answer.headers["openai-version"] == "2020-10-01" and answer.headers["openai-processing-ms"]


CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
THOUGHT: Any = {"type": "reasoning", "summary": [], "encrypted_content": encrypted("known")}
CALL: Any = {"type": "function_call", "call_id": "c", "name": "Bash", "arguments": "{}"}
OUTPUT: Any = {"type": "function_call_output", "call_id": "c", "output": SECRET}


def chat(**changes: Any) -> tuple[str, Any]:
    good = {"model": "gpt-5", "messages": [USER, CALLED, ANSWERED], "tools": [CHAT_TOOL]}
    return CHAT, copy.deepcopy(good) | changes


def asked(*items: Any, **changes: Any) -> tuple[str, Any]:
    good = {"model": "gpt-5", "input": list(items) or [USER, THOUGHT, CALL, OUTPUT], "tools": [TOOL]}
    return RESPONSES, copy.deepcopy(good) | changes


def part(kind: str, **more: Any) -> Any:
    return {"role": "user", "content": [{"type": kind, **more}]}


@pytest.mark.parametrize(
    ("request_", "said", "code"),
    [
        (chat(nonsense=1), "Unknown parameter: 'nonsense'.", "unknown_parameter"),
        (chat(messages=[{"role": "wizard", "content": "x"}]), "Invalid value: 'wizard'.", "invalid_value"),
        (chat(messages=[]), "Invalid 'messages': empty array.", "empty_array"),
        (chat(messages=[USER, ANSWERED]), "Invalid parameter: messages with role 'tool' must be", None),
        (chat(messages=[USER, CALLED, USER]), "An assistant message with 'tool_calls' must be", None),
        (chat(max_tokens=5), "Unsupported parameter: 'max_tokens' is not supported", "unsupported_parameter"),
        (chat(temperature=0.5), "Unsupported value: 'temperature' does not support 0.5", "unsupported_value"),
        (chat(stop=["x"]), "Unsupported parameter: 'stop'", "unsupported_parameter"),
        (chat(model="gpt-4o", max_tokens=20_000), "max_tokens is too large: 20000.", "invalid_value"),
        (chat(model="gpt-6-sol"), "Function tools with reasoning_effort are not supported", None),
        (chat(reasoning_effort="none"), "Unsupported value: 'none'", "unsupported_value"),
        (
            chat(model="gpt-4o", reasoning_effort="low"),
            "Unsupported parameter: 'reasoning",
            "unsupported_parameter",
        ),
        (
            chat(stream_options={"include_usage": True}),
            "The 'stream_options' parameter is only allowed",
            None,
        ),
        (chat(model="gpt-none"), "The model `gpt-none` does not exist", "model_not_found"),
        (chat(model="gpt-5.1-codex"), "This model is only supported in v1/responses", None),
        (
            chat(tools=[{"type": "function", "function": FUNCTION | {"name": "a.b"}}]),
            "Invalid 'tools[0]",
            "invalid_value",
        ),
        (chat(tools=None), "Invalid type for 'tools'", "invalid_type"),
        (chat(tool_choice="sometimes"), "Invalid value: 'sometimes'.", "invalid_value"),
        (("/v1/completions", {"model": "gpt-4o", "prompt": "x"}), "This is a chat model and not", None),
        (
            ("/v1/embeddings", {"model": "text-embedding-3-small"}),
            "Missing required parameter: 'input'.",
            "missing_required_parameter",
        ),
        (asked(nonsense=1), "Unknown parameter: 'nonsense'.", "unknown_parameter"),
        (asked(max_tokens=9), "Unknown parameter: 'max_tokens'.", "unknown_parameter"),
        (asked(max_output_tokens=5), "Invalid 'max_output_tokens': integer below", "integer_below_min_value"),
        (
            asked(temperature=0.5),
            "Unsupported parameter: 'temperature' is not supported",
            "unsupported_value",
        ),
        (asked(model="gpt-4o", reasoning={"effort": "low"}), "Unsupported param", "unsupported_parameter"),
        (
            asked(model="gpt-4o", include=["reasoning.encrypted_content"]),
            "Encrypted content is not sup",
            None,
        ),
        (asked(part("text", text="x")), "Invalid value: 'text'.", "invalid_value"),
        (asked(part("output_text", text="x")), "Invalid value: 'output_text'.", "invalid_value"),
        (asked(USER, CALL), "No tool output found for function call c.", None),
        (asked(USER, OUTPUT), "No tool call found for function call output with call_id c.", None),
        (asked(USER, THOUGHT), "Item 'rs_' of type 'reasoning' was provided without its required", None),
        (
            asked(
                USER,
                THOUGHT | {"content": [{"type": "reasoning_text", "text": "x"}]},
                CALL,
                OUTPUT,
            ),
            "Invalid 'input[1].content': array too long.",
            "array_above_max_length",
        ),
        (
            asked(USER, THOUGHT | {"encrypted_content": "EuYBforeign"}, CALL, OUTPUT),
            "The encrypted content EuYB...eign could not be verified.",
            "invalid_encrypted_content",
        ),
        (
            asked(USER, {"type": "reasoning", "summary": [], "id": "rs_1"}, CALL, OUTPUT),
            "Item with id 'rs_1' not found",
            None,
        ),
        (
            asked(USER, CALL | {"id": "toolu_1"}, OUTPUT),
            "Invalid 'input[1].id': 'toolu_1'. Expected an ID that begins",
            "invalid_value",
        ),
        (
            asked(tools=[TOOL | {"strict": True}]),
            "Invalid schema for function 'Bash': In context=(), 'additional",
            "invalid_function_parameters",
        ),
    ],
)
def test_it_refuses_as_openai_does(request_: tuple[str, Any], said: str, code: str | None):
    refusal = next(refusals(*request_, {encrypted("known"): "known"}))
    assert refusal.message.startswith(said) and refusal.code == code


def test_what_is_right_is_served():
    known = {encrypted("known"): "known"}
    for right in (
        chat(),
        chat(
            model="gpt-4o", max_tokens=9, temperature=0, stream=True, stream_options={"include_usage": True}
        ),
        asked(),
        asked(model="gpt-5.2", reasoning={"effort": "none"}, temperature=0.2),
        asked(USER, instructions="x", text={"format": {"type": "json_object"}}),
    ):
        assert list(refusals(*right, known)) == []


@pytest.mark.parametrize("asked", ["gpt-1", "patch-3", "delegate-3"])
def test_what_its_own_agent_sends_is_served(asked: str):
    """Some of it is not in the library's types."""
    recorded = json.loads((CODEX / f"{asked}.json").read_text())["body"]
    thought = {"type": "reasoning", "summary": [], "content": None, "encrypted_content": encrypted("Hm.")}
    recorded["input"] += [thought, {"type": "message", "role": "assistant", "content": "So be it."}]
    assert list(refusals("/v1/responses", {**recorded, "model": "gpt-5.5"}, {encrypted("Hm."): "Hm."})) == []


def test_its_client_knows_its_errors(vendor: OpenAiVendor):
    with pytest.raises(openai.AuthenticationError, match=r"Incorrect API key provided: sk-\*\*\*\*rong"):
        client(vendor, "sk-wrong").responses.create(model="gpt-5", input="Hello")
    with pytest.raises(openai.NotFoundError) as told:
        client(vendor).chat.completions.create(model="gpt-none", messages=[USER])
    assert told.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="exceeds the context window") as told:
        client(vendor).responses.create(model="gpt-5", input="word " * 200_001)
    assert told.value.code == "context_length_exceeded"
    assert (
        httpx.post(f"{vendor.url}/v1/responses", json={}).json()["error"]["message"].startswith("You didn't")
    )


@pytest.mark.parametrize(("status", "kind"), [(401, "invalid_request_error"), (429, "tokens"), (500, None)])
def test_statuses_strike_as_often_as_they_are_told_to(vendor: OpenAiVendor, status: int, kind: str | None):
    vendor.script(
        fault=Fault("status", status=status, retry_after=7, kind_of=kind, code="rate_limit_exceeded")
    )
    with pytest.raises(openai.APIStatusError) as told:
        client(vendor).responses.create(model="gpt-5", input="Hello")
    assert (told.value.status_code, told.value.type) == (status, kind or "server_error")
    assert told.value.response.headers["retry-after"] == "7"
    assert client(vendor).responses.create(model="gpt-5", input="Hello").output_text


@pytest.mark.parametrize(
    ("within", "last"), [("text", "output_text"), ("arguments", "function_call_arguments")]
)
def test_it_dies_where_it_is_told_to(vendor: OpenAiVendor, within: Any, last: str):
    body: Any = {"model": "gpt-5", "input": [USER], "tools": [TOOL], "stream": True}
    vendor.script(turn=CALLS, fault=Fault("cut", within=within), split=4)
    events = list(client(vendor).responses.create(**body))
    assert events[-1].type == f"response.{last}.delta"
    for kind in ("drop", "reset"):
        vendor.script(turn=CALLS, fault=Fault(kind, within=within))
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{vendor.url}/v1/responses", json=body, headers={"authorization": f"Bearer {KEY}"})
    vendor.script(turn=CALLS, fault=Fault("error", within=within))
    *_, broken = client(vendor).responses.create(**body)
    assert (broken.type, broken.message) == ("error", "scripted fault")
    vendor.fails_softly = True
    vendor.script(turn=CALLS, fault=Fault("error", within=within, code="rate_limit_exceeded"))
    *_, failed = client(vendor).responses.create(**body)
    assert failed.response.error.code == "rate_limit_exceeded"
    vendor.script(turn=CALLS, fault=Fault("error", within=within))
    with pytest.raises(openai.APIError, match="scripted fault"):
        list(client(vendor).chat.completions.create(model="gpt-5", messages=[USER], stream=True))


def test_it_is_slow_when_told_to(vendor: OpenAiVendor):
    vendor.script(first_s=0.2)
    with pytest.raises(openai.APITimeoutError):
        client(vendor, timeout=0.05).responses.create(model="gpt-5", input="Hello")
