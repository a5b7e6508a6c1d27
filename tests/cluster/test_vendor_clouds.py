"""Vendors side by side: whose a name is, conversations that go from one to another, and secrets that stay secret."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest

from tests.cluster.abroad import CLAUDE, SONNET
from tests.cluster.clouds import BEDROCKS_CLAUDE, GEMINI, GEMINI_3, NOVA, VERTEXS_CLAUDE, Clouds, clouds
from tests.cluster.program import Program
from tests.simulators.anthropic_rules import signature
from tests.simulators.anthropic_vendor import AnthropicVendor, anthropic_vendor
from tests.simulators.aws_wire import Account
from tests.simulators.bedrock import Fault
from tests.simulators.google_tokens import PRIVATE
from tests.simulators.vendor_server import KEY
from tests.simulators.vertex import Fault as VertexFault
from tests.simulators.vertex_answers import CALL, Turn

TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
BUDGET: Any = {"type": "enabled", "budget_tokens": 1024}


@pytest.fixture(scope="module")
def vendor() -> Iterator[AnthropicVendor]:
    with anthropic_vendor() as vendor:
        yield vendor


@pytest.fixture(scope="module")
def world(vendor: AnthropicVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    key = f"anthropic_api_key: {KEY}\nanthropic_url: {vendor.url}"
    with clouds(tmp_path_factory.mktemp("clouds"), fallback=key, FLOCK_LOG_LEVEL="debug") as world:
        yield world


@pytest.fixture
def client(world: Clouds) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=world.stage.program.url, api_key=world.stage.key, max_retries=0
    ) as client:
        yield client


def post(program: Program, model: str, path: str = "/v1/chat/completions", **fields: Any) -> httpx.Response:
    body = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}], **fields}
    with program.client() as client:
        return client.post(path, json=body)


@pytest.mark.parametrize(
    ("model", "vendor_name"),
    [
        (SONNET, "anthropic"),
        (VERTEXS_CLAUDE, "vertex"),
        (GEMINI, "vertex"),
        (BEDROCKS_CLAUDE, "bedrock"),
        (NOVA, "bedrock"),
    ],
)
def test_a_name_is_that_of_one_vendor(world: Clouds, vendor: AnthropicVendor, model: str, vendor_name: str):
    world.of_bedrock()
    world.of_vertex()
    vendor.script()
    answer = post(world.stage.program, model)
    assert (answer.status_code, answer.headers["x-flock-node"]) == (200, vendor_name), answer.text
    assert answer.headers["x-flock-route"] == f"vendor:{vendor_name}"
    asked = {
        "anthropic": vendor.requests,
        "vertex": world.vertex.state.heard,
        "bedrock": world.bedrock.state.heard,
    }
    assert [name for name, heard in asked.items() if heard] == [vendor_name]
    why = world.stage.program.cli("why", answer.headers["x-request-id"])
    assert why.returncode == 0
    assert vendor_name in why.stdout and model in why.stdout


def test_their_models_are_listed(world: Clouds):
    with world.stage.program.client(world.stage.key) as client:
        listed = [item["id"] for item in client.get("/v1/models").json()["data"]]
        ours = [
            item["id"] for item in client.get("/v1/models", headers={"anthropic-version": "1"}).json()["data"]
        ]
        shown = [client.get(f"/v1/models/{model}").json()["id"] for model in (GEMINI, NOVA, VERTEXS_CLAUDE)]
    assert {GEMINI, NOVA, "claude-opus-4-8", "fake"} <= set(listed)
    assert len(set(listed)) == len(listed)
    assert set(ours) <= set(listed)
    assert shown == [GEMINI, NOVA, VERTEXS_CLAUDE]


@pytest.mark.parametrize("model", [CLAUDE, BEDROCKS_CLAUDE, VERTEXS_CLAUDE])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_what_gemini_thought_stays_behind(
    world: Clouds, vendor: AnthropicVendor, client: anthropic.Anthropic, model: str, stream: bool
):
    """In the midst of a loop of tools, with the thinking that a client asks of everybody."""
    world.of_bedrock()
    world.of_vertex(CALL)
    vendor.script()
    asked: Any = {"max_tokens": 2000, "tools": [TOOL], "thinking": BUDGET}
    turns: list[Any] = [{"role": "user", "content": "Raining?"}]
    first = client.messages.create(model=GEMINI_3, messages=turns, **asked)
    signatures = [block.signature for block in first.content if block.type == "thinking"]
    assert f"gemini:{CALL.signature}" in signatures
    (call,) = [block for block in first.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "rain"}
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    if stream:
        with client.messages.stream(model=model, messages=turns, **asked) as events:
            second = events.get_final_message()
    else:
        raw = client.messages.with_raw_response.create(model=model, messages=turns, **asked)
        assert raw.headers["x-flock-dropped"].startswith("messages[1].content[0]")
        second = raw.parse()
    assert second.content[-1].type == "text"
    assert not vendor.refusals
    if model != BEDROCKS_CLAUDE:  # which does not count
        assert client.messages.count_tokens(model=model, messages=turns, tools=[TOOL]).input_tokens > 0
    assert not vendor.refusals
    heard = [*(each.json() for each in vendor.requests), *(each.body for each in world.bedrock.state.heard)]
    heard += [each.body for each in world.vertex.state.heard[1:]]
    assert heard and "gemini:" not in json.dumps(heard)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
def test_what_other_models_of_bedrock_thought_stays_behind(
    world: Clouds, vendor: AnthropicVendor, client: anthropic.Anthropic, stream: bool
):
    world.of_bedrock(thought="Hm.")
    vendor.script()
    turns: list[Any] = [{"role": "user", "content": "hi"}]
    if stream:
        with client.messages.stream(model=NOVA, max_tokens=64, messages=turns) as events:
            first = events.get_final_message()
    else:
        first = client.messages.create(model=NOVA, max_tokens=64, messages=turns)
    assert first.content[0].type == "thinking" and first.content[0].thinking == "Hm."
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": "again"}]
    client.messages.create(model=CLAUDE, max_tokens=64, messages=turns)
    assert not vendor.refusals


def test_thoughts_of_a_model_of_our_own_stay_behind_and_anthropics_own_do_not(
    vendor: AnthropicVendor, client: anthropic.Anthropic
):
    vendor.script()
    local = {"type": "thinking", "thinking": "hm", "signature": ""}
    own = {"type": "thinking", "thinking": "mine", "signature": signature("mine")}
    turns: Any = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [local, {"type": "text", "text": "Hello."}]},
        {"role": "user", "content": "again"},
        {"role": "assistant", "content": [own, {"type": "text", "text": "Hello."}]},
        {"role": "user", "content": "and again"},
    ]
    client.messages.create(model=CLAUDE, max_tokens=2000, messages=turns, thinking=BUDGET)
    (heard,) = vendor.requests
    assert heard.json()["messages"][1]["content"] == [{"type": "text", "text": "Hello."}]
    assert heard.json()["messages"][3]["content"] == turns[3]["content"]
    assert heard.json()["thinking"] == BUDGET


def test_what_anthropic_thought_goes_on_with_its_models_elsewhere(
    world: Clouds, vendor: AnthropicVendor, client: anthropic.Anthropic
):
    world.of_vertex(Turn())
    vendor.script(reasoning="Well.")
    turns: list[Any] = [{"role": "user", "content": "hi"}]
    first = client.messages.create(model=CLAUDE, max_tokens=2000, messages=turns, thinking=BUDGET)
    turns += [{"role": "assistant", "content": first.content}, {"role": "user", "content": "again"}]
    client.messages.create(model=VERTEXS_CLAUDE, max_tokens=2000, messages=turns, thinking=BUDGET)
    assert world.vertex.state.heard[0].body["messages"][1]["content"][0]["signature"] == signature("Well.")


RECORDED = sorted(
    path
    for path in (Path(__file__).parent.parent / "golden" / "clients").glob("*/*.json")
    if json.loads(path.read_bytes())["path"].startswith("/v1/messages?")
)


@pytest.mark.parametrize("model", [BEDROCKS_CLAUDE, VERTEXS_CLAUDE])
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_clients_really_send_is_served_there(world: Clouds, model: str, path: Path):
    world.of_bedrock()
    world.of_vertex()
    recorded = json.loads(path.read_bytes())
    headers = {name: value for name, value in recorded["headers"].items() if name.startswith("anthropic-")}
    with world.stage.program.client(world.stage.key) as client:
        answer = client.post("/v1/messages", json={**recorded["body"], "model": model}, headers=headers)
    assert answer.status_code == 200, answer.text


def said_by(program: Program) -> str:
    """All that anybody can read of a program, but for its own keys."""
    parts = [program.said(), *(program.cli(*what).stdout for what in (("config", "show"), ("doctor",)))]
    with program.client() as client:
        for path in ("config", "status", "usage/recent", "usage/export?format=jsonl", "audit/recent", "logs"):
            parts.append(client.get(f"/admin/v1/{path}").text)
        for item in client.get("/admin/v1/usage/recent").json()["items"]:
            parts.append(client.get(f"/admin/v1/requests/{item['request_id']}").text)
        parts.append(client.get("/metrics").text)
    return "\n".join(parts)


def test_what_opens_them_is_nowhere_to_be_read(world: Clouds):
    program = world.stage.program
    for status in (400, 403, 429, 500):
        world.of_bedrock(fault=Fault("status", status, message="it is broken"))
        world.of_vertex(faults=(VertexFault(status),))
        for model in (NOVA, GEMINI):
            post(program, model)
    said = said_by(program)
    assert NOVA in said and GEMINI in said
    secrets = [Account().secret, KEY, *world.tokens.granted, *PRIVATE.splitlines()[1:-1]]
    assert [secret for secret in secrets if secret in said] == []
    assert "AWS4-HMAC-SHA256" not in said
