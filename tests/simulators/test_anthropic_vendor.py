"""The simulated Anthropic: its official client takes what it says, and it refuses what Anthropic refuses."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from tests.simulators.anthropic_rules import OLD, refusals
from tests.simulators.anthropic_vendor import AnthropicVendor, anthropic_vendor
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import KEY, Fault

TOOL: Any = {
    "name": "Bash",
    "description": "Runs a command.",
    "input_schema": {
        "type": "object",
        "properties": {"command": {"type": "string"}},
        "required": ["command"],
    },
}
USER: Any = {"role": "user", "content": "Please do flock-task:read:secret.txt"}
CALLED: Any = {
    "role": "assistant",
    "content": [
        {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "cat secret.txt"}}
    ],
}
RESULT: Any = {
    "role": "user",
    "content": [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "FLOCK-SECRET-0123456789ab"},
        {"type": "text", "text": "Go on."},
    ],
}
GOOD: Any = {
    "model": "claude-sonnet-4-6",
    "max_tokens": 2048,
    "messages": [USER, CALLED, RESULT],
    "tools": [TOOL],
}
HEADERS = {"x-api-key": KEY, "anthropic-version": OLD}
BUDGET: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def running() -> Iterator[AnthropicVendor]:
    with anthropic_vendor() as vendor:
        yield vendor


@pytest.fixture
def vendor(running: AnthropicVendor) -> Iterator[AnthropicVendor]:
    running.script()
    yield running
    while CLIENTS:
        CLIENTS.pop().close()


CLIENTS: list[anthropic.Anthropic] = []


def client(vendor: AnthropicVendor, key: str = KEY, **more: Any) -> Any:
    CLIENTS.append(anthropic.Anthropic(base_url=vendor.url, api_key=key, max_retries=0, **more))
    return CLIENTS[-1]


def test_its_client_runs_a_loop_of_tools_with_thoughts_streamed_and_whole(vendor: AnthropicVendor):
    vendor.script(reasoning="I should look.", split=3, cache_read=5, cache_write=7)
    api, messages = client(vendor), [USER]
    asked = {"model": "claude-sonnet-4-6", "max_tokens": 2048, "tools": [TOOL], "thinking": BUDGET}
    with api.messages.stream(messages=messages, **asked) as stream:
        first = stream.get_final_message()
    thought, call = first.content
    assert (thought.type, thought.thinking, first.stop_reason) == ("thinking", "I should look.", "tool_use")
    assert (call.name, call.input) == ("Bash", {"command": "cat secret.txt"})
    assert (first.usage.cache_read_input_tokens, first.usage.cache_creation_input_tokens) == (5, 7)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "FLOCK-SECRET-0123456789ab"}
    turn = {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in first.content]}
    messages += [turn, {"role": "user", "content": [result]}]
    second = api.messages.create(messages=messages, **asked)
    assert second.content[-1].text == "It says FLOCK-SECRET-0123456789ab."
    assert second.stop_reason == "end_turn" and second._request_id.startswith("req_")
    assert vendor.refusals == []


def test_it_counts_and_lists(vendor: AnthropicVendor):
    api = client(vendor)
    counted = api.messages.count_tokens(model="claude-sonnet-4-6", messages=[USER], tools=[TOOL])
    answer = api.messages.create(model="claude-sonnet-4-6", messages=[USER], tools=[TOOL], max_tokens=9)
    assert counted.input_tokens == answer.usage.input_tokens > 5
    assert "claude-opus-4-8" in [model.id for model in api.models.list()]
    assert api.models.retrieve("claude-haiku-4-5").type == "model"


def test_it_keeps_what_it_received_to_the_byte(vendor: AnthropicVendor):
    body = b'{ "model":"claude-haiku-4-5","max_tokens":9, "messages":[{"role":"user","content":"\\u0041"}] }'
    asked = {"X-Api-Key": KEY, "Anthropic-Version": "2023-06-01", "Content-Type": "application/json"}
    answer = httpx.post(f"{vendor.url}/v1/messages?beta=true", content=body, headers=asked)
    (received,) = vendor.requests
    assert (received.path, received.body, received.refused) == ("/v1/messages?beta=true", body, "")
    assert b"\r\nX-Api-Key: " + KEY.encode() in received.head
    assert received.header("anthropic-version") == "2023-06-01"
    assert answer.headers["anthropic-organization-id"]
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "3999"


def changed(**changes: Any) -> Any:
    return copy.deepcopy(GOOD) | changes


def turns(*messages: Any) -> Any:
    return changed(messages=list(messages))


def blocks(*content: Any, role: str = "user") -> Any:
    return {"role": role, "content": list(content)}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (changed(nonsense=1), "nonsense: Extra inputs are not permitted"),
        (changed(max_completion_tokens=1), "max_completion_tokens: Extra inputs"),
        ({"model": "claude-sonnet-4-6", "messages": [USER]}, "max_tokens: Field required"),
        (changed(max_tokens=0), "max_tokens: Input should be greater"),
        (changed(max_tokens=70_000), "max_tokens: 70000 > 64000, which"),
        (changed(temperature=1.5), "temperature: Input should be less"),
        (
            changed(model="claude-sonnet-4-5", temperature=1, top_p=0.5),
            "`temperature` and `top_p` cannot both",
        ),
        (changed(model="claude-opus-4-8", temperature=0.5), "`temperature` is deprecated"),
        (changed(system=[{"type": "text", "text": "x", "foo": 1}]), "system.0.foo: Extra inputs"),
        (changed(thinking=BUDGET, max_tokens=1024), "`max_tokens` must be greater"),
        (changed(thinking={"type": "enabled", "budget_tokens": 5}), "thinking.enabled.budget_tokens: Input"),
        (changed(thinking=BUDGET), "messages.1.content.0.type: Expected `thinking`"),
        (changed(thinking=BUDGET, messages=[USER], top_k=3), "`top_k` must be unset"),
        (
            changed(thinking=BUDGET, messages=[USER], tool_choice={"type": "any"}),
            "Thinking may not be enabled",
        ),
        (changed(model="claude-opus-4-8", thinking=BUDGET), '"thinking.type.enabled" is not supported'),
        (
            changed(model="claude-haiku-4-5", thinking={"type": "adaptive"}),
            "adaptive thinking is not supported",
        ),
        (
            changed(model="claude-haiku-4-5", output_config={"effort": "low"}),
            "This model does not support the effort",
        ),
        (turns(), "messages: at least one message"),
        (turns({"role": "tool", "content": "x"}), "messages.0.role: Input should be"),
        (turns(CALLED, RESULT), 'messages: first message must use the "user" role'),
        (turns(USER, CALLED, USER), "messages.1: `tool_use` ids were found without"),
        (turns(USER, RESULT), "messages.1.content.0: unexpected `tool_use_id`"),
        (
            turns(USER, CALLED, blocks(*reversed(RESULT["content"]))),
            "messages.2: `tool_result` blocks must come first",
        ),
        (turns(blocks({"type": "text", "text": ""})), "messages: text content blocks must be non-empty"),
        (turns(blocks({"type": "text", "text": " \n"})), "messages: text content blocks must contain"),
        (
            turns(USER, blocks({"type": "text", "text": "a "}, role="assistant"))
            | {"model": "claude-haiku-4-5"},
            "messages: final assistant",
        ),
        (
            turns(
                USER,
                blocks({"type": "thinking", "thinking": "a", "signature": "foreign"}, role="assistant"),
                USER,
            ),
            "messages.1.content.0: Invalid `signature` in",
        ),
        (
            turns(blocks({"type": "image_url", "image_url": {"url": "x"}})),
            "messages.0.content.0",
        ),
        (
            changed(messages=[USER, {"role": "assistant", "content": "So"}], model="claude-opus-4-8"),
            "This model does not support assistant message prefill",
        ),
        (changed(tools=[TOOL, TOOL]), "tools: Tool names must be unique."),
        (changed(tools=[TOOL | {"name": "a.b"}]), "tools.0.custom.name: String should match"),
        (changed(tools=[TOOL | {"input_schema": {}}]), "tools.0.custom.input_schema.type: Field required"),
        (changed(tools=[TOOL | {"function": {}}]), "tools.0"),
        (changed(tool_choice={"type": "tool", "name": "nobody"}), "Tool 'nobody' not found"),
        (changed(tool_choice="auto"), "tool_choice"),
        (changed(metadata={"user": "me"}), "metadata.user: Extra inputs"),
    ],
)
def test_it_refuses_as_anthropic_does(body: Any, said: str):
    assert next(refusals(body, version=OLD)).startswith(said)


def test_what_is_right_is_served():
    assert list(refusals(GOOD, version=OLD)) == []
    beta = GOOD | {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}
    assert list(refusals(beta, beta=True)) == []
    newer = "2026-10-21"
    assert next(refusals(GOOD | {"temperature": 1}, version=newer)).startswith("temperature: Extra inputs")
    assert list(refusals(GOOD | {"temperature": 1}, version=OLD)) == []
    assert next(refusals(beta, version=OLD)) == "context_management: Extra inputs are not permitted"


def test_its_client_knows_its_errors(vendor: AnthropicVendor):
    asked: Any = {"model": "claude-none", "max_tokens": 9, "messages": [USER]}
    with pytest.raises(anthropic.NotFoundError, match="model: claude-none"):
        client(vendor).messages.create(**asked)
    asked["model"] = "claude-haiku-4-5"
    with pytest.raises(anthropic.AuthenticationError) as told:
        client(vendor, "sk-wrong").messages.create(**asked)
    assert said(told.value) == {"type": "authentication_error", "message": "invalid x-api-key"}
    bare = httpx.post(f"{vendor.url}/v1/messages", json=asked, headers={"x-api-key": KEY})
    assert (bare.status_code, bare.json()["error"]["message"]) == (
        400,
        "anthropic-version: header is required",
    )
    long = copy.deepcopy(USER) | {"content": "word " * (vendor.prompt_limit + 1)}
    with pytest.raises(anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > 200000 maximum"):
        client(vendor).messages.create(**asked | {"messages": [long]})


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, "authentication_error"), (429, "rate_limit_error"), (500, "api_error"), (529, "overloaded_error")],
)
def test_statuses_strike_as_often_as_they_are_told_to(vendor: AnthropicVendor, status: int, kind: str):
    vendor.script(fault=Fault("status", status=status, retry_after=7))
    asked: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [USER]}
    with pytest.raises(anthropic.APIStatusError) as told:
        client(vendor).messages.create(**asked)
    assert said(told.value)["type"] == kind
    assert told.value.response.headers["retry-after"] == "7"
    assert client(vendor).messages.create(**asked).content[0].text


def said(error: anthropic.APIStatusError) -> dict[str, str]:
    assert isinstance(error.body, dict)
    return error.body["error"]


CALLS = Turn("I will look.", (Call("Bash", json.dumps({"command": "cat secret.txt"})),))


def pieces(vendor: AnthropicVendor) -> list[Any]:
    asked: Any = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [USER], "tools": [TOOL]}
    return list(client(vendor).messages.create(stream=True, **asked))


@pytest.mark.parametrize(("within", "last"), [("text", "text_delta"), ("arguments", "input_json_delta")])
def test_it_dies_where_it_is_told_to(vendor: AnthropicVendor, within: Any, last: str):
    vendor.script(turn=CALLS, fault=Fault("cut", within=within), split=4)
    assert pieces(vendor)[-1].delta.type == last
    asked = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [USER], "stream": True}
    for kind in ("drop", "reset"):
        vendor.script(turn=CALLS, fault=Fault(kind, within=within))
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{vendor.url}/v1/messages", json=asked, headers=HEADERS)
    vendor.script(turn=CALLS, fault=Fault("error", within=within, kind_of="overloaded_error"))
    with pytest.raises(anthropic.APIStatusError) as told:
        pieces(vendor)
    assert said(told.value)["type"] == "overloaded_error"


def test_it_is_slow_when_told_to(vendor: AnthropicVendor):
    vendor.script(first_s=0.2)
    with pytest.raises(anthropic.APITimeoutError):
        client(vendor, timeout=0.05).messages.create(model="claude-haiku-4-5", max_tokens=9, messages=[USER])
