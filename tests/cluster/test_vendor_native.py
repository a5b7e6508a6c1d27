"""Who speaks Anthropic's protocol to one of Anthropic's models hears Anthropic itself, metered like everybody."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest

from flockpy.catalog import folders, load_vendors
from tests.cluster.abroad import CLAUDE, Abroad, abroad
from tests.cluster.metering import record_of
from tests.cluster.program import eventually
from tests.simulators.vendor_server import KEY, Fault

BODY = b'{"model":"%b","max_tokens": 64, "metadata":  {"user_id":"me"}, "messages":[{"role":"user","content":"hi"}]}'

TOLD = {
    400: "invalid_request_error",
    404: "overloaded_error",
    429: "overloaded_error",
    502: "overloaded_error",
    503: "overloaded_error",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    aliases = f"aliases:\n  cheap: {CLAUDE}"
    with abroad(tmp_path_factory.mktemp("native"), router=aliases) as world:
        yield world


def post(world: Abroad, body: bytes, path: str = "/v1/messages", **headers: str) -> httpx.Response:
    with world.stage.program.client(world.stage.key) as client:
        return client.post(path, content=body, headers={"anthropic-version": "2023-06-01", **headers})


def body_for(model: str, **fields: Any) -> bytes:
    plain = {"model": model, "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps({**plain, **fields}).encode()


def test_request_and_answer_pass_byte_for_byte(world: Abroad):
    world.behave()
    sent = BODY % CLAUDE.encode()
    answer = post(world, sent, **{"anthropic-beta": "context-1m-2025-08-07"})
    assert answer.status_code == 200, answer.text
    (received,) = world.anthropic.requests
    assert received.body == sent
    assert received.header("anthropic-beta") == "context-1m-2025-08-07"
    assert received.header("x-api-key") == KEY
    direct = httpx.post(
        f"{world.anthropic.url}/v1/messages",
        content=sent,
        headers={"anthropic-version": "2023-06-01", "x-api-key": KEY, "content-type": "application/json"},
    )
    assert without_ids(answer.json()) == without_ids(direct.json())


def without_ids(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "id"}


def test_a_stream_is_the_vendors_to_the_byte(world: Abroad):
    world.behave(reasoning="Well now.", pings=2)
    sent = body_for(CLAUDE, stream=True)
    ours = post(world, sent).content
    direct = httpx.post(
        f"{world.anthropic.url}/v1/messages",
        content=sent,
        headers={"anthropic-version": "2023-06-01", "x-api-key": KEY, "content-type": "application/json"},
    ).content
    assert b"event: ping" in ours
    assert [line for line in ours.splitlines() if b"message_start" not in line] == [
        line for line in direct.splitlines() if b"message_start" not in line
    ]


def test_its_limits_are_told_and_its_account_is_not(world: Abroad):
    world.behave()
    headers = post(world, BODY % CLAUDE.encode()).headers
    assert headers["request-id"]
    assert any(name.startswith("anthropic-ratelimit-") for name in headers)
    assert "anthropic-organization-id" not in headers
    assert headers["x-flock-node"] == "anthropic"
    assert headers["x-flock-route"] == "vendor:anthropic"
    assert headers["x-flock-model"] == CLAUDE


@pytest.mark.parametrize("stream", [False, True])
def test_what_it_cost_is_in_the_record(world: Abroad, stream: bool):
    world.behave(cache_read=1000, cache_write=500)
    answer = post(world, body_for(CLAUDE, stream=stream))
    record = record_of(world.stage.program, answer.headers["x-request-id"])
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, "engine")
    assert (record["model"], record["node_id"]) == (CLAUDE, "anthropic")
    known = load_vendors(folders()).find("anthropic", CLAUDE)
    assert known is not None
    prompt, completion = record["prompt_tokens"], record["completion_tokens"]
    assert prompt > 1500
    assert record["cached_tokens"] == 1000
    assert float(record["cost_usd"]) == pytest.approx(known.price.cost(prompt, completion, 1000, 500))


def test_an_alias_reaches_it_under_its_own_name(world: Abroad):
    world.behave()
    answer = post(world, BODY % b"cheap")
    assert answer.status_code == 200
    assert world.anthropic.requests[0].json() == {**json.loads(BODY % b"cheap"), "model": CLAUDE}
    assert answer.headers["x-flock-model"] == CLAUDE


@pytest.mark.parametrize(("status", "kind"), [(400, None), (429, None), (500, None), (529, None)])
def test_its_refusals_pass_as_they_are(world: Abroad, status: int, kind: str | None):
    fault = Fault("status", status=status, retry_after=7, message="the vendor's own words")
    world.behave(fault=fault)
    answer = post(world, BODY % CLAUDE.encode())
    assert answer.status_code == status
    assert answer.headers["retry-after"] == "7"
    assert answer.json()["error"]["message"] == "the vendor's own words"
    record = record_of(world.stage.program, answer.headers["x-request-id"])
    assert (record["status"], record["prompt_tokens"], record["completion_tokens"]) == (status, 0, 0)
    assert record["outcome"] == ("refused" if status < 500 else "failed")


@pytest.mark.parametrize("status", [400, 404, 429, 502, 503])
def test_a_page_of_what_stands_before_it_is_told_in_the_clients_protocol(world: Abroad, status: int):
    world.behave(fault=Fault("page", status=status, message="Bad Gateway"))
    answer = post(world, BODY % CLAUDE.encode())
    assert answer.headers["content-type"] == "application/json"
    assert (answer.json()["type"], answer.json()["error"]["type"]) == ("error", TOLD[status])
    assert "html" not in answer.text
    assert str(status) in answer.json()["error"]["message"]


def test_what_is_wrong_with_the_leaders_key_is_not_the_clients_401(world: Abroad):
    world.behave(fault=Fault("status", status=401, message="invalid x-api-key"))
    answer = post(world, BODY % CLAUDE.encode())
    assert answer.status_code == 529
    assert "leader's key" in answer.json()["error"]["message"]
    assert answer.headers["x-should-retry"] == "false"  # until an admin has mended it
    assert answer.headers["retry-after"] == "1"
    assert KEY not in answer.text


@pytest.mark.parametrize("within", ["start", "text"])
@pytest.mark.parametrize("kind", ["cut", "reset"])
def test_a_stream_that_breaks_ends_with_an_error_event(world: Abroad, kind: Any, within: Any):
    world.behave(fault=Fault(kind, within=within))
    answer = post(world, body_for(CLAUDE, stream=True))
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert events[-1]["type"] == "error"
    record = record_of(world.stage.program, answer.headers["x-request-id"])
    assert record["outcome"] == "failed"
    assert record["tokens_source"] == ("counted" if within == "text" else "estimated")


def test_an_error_event_of_its_own_passes(world: Abroad):
    fault = Fault("error", within="text", message="Overloaded", kind_of="overloaded_error")
    world.behave(fault=fault, chunk_s=0.05)
    answer = post(world, body_for(CLAUDE, stream=True))
    assert answer.text.count("event: error") == 1
    assert '"Overloaded"' in answer.text
    assert record_of(world.stage.program, answer.headers["x-request-id"])["outcome"] == "failed"


def test_a_vendor_that_drops_the_connection_is_unreachable(world: Abroad):
    world.behave(fault=Fault("drop", times=5))
    answer = post(world, BODY % CLAUDE.encode())
    assert answer.status_code == 529
    assert answer.json()["error"]["type"] == "overloaded_error"


def test_the_official_sdk_streams_tools_and_counts(world: Abroad):
    world.behave()
    client = anthropic.Anthropic(base_url=world.stage.program.url, api_key=world.stage.key, max_retries=0)
    with client.messages.stream(
        model=CLAUDE, max_tokens=64, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        told = stream.get_final_message()
    assert told.stop_reason == "end_turn"
    counted = client.messages.count_tokens(model=CLAUDE, messages=[{"role": "user", "content": "hi"}])
    assert counted.input_tokens == told.usage.input_tokens
    assert world.anthropic.requests[-1].path == "/v1/messages/count_tokens"
    with world.stage.program.client() as admin:
        assert 'flockpy_token_counts_total{by="anthropic"}' in admin.get("/metrics").text


async def test_who_leaves_ends_the_vendors_work_and_pays_for_it(world: Abroad):
    world.behave(chunk_s=0.2, reasoning="a long thought " * 50)
    with world.stage.program.client(world.stage.key) as client:
        stream = client.stream(
            "POST",
            "/v1/messages",
            content=body_for(CLAUDE, stream=True),
            headers={"anthropic-version": "2023-06-01"},
        )
        with stream as answer:
            next(answer.iter_bytes())
            request_id = answer.headers["x-request-id"]
    record = await asyncio.to_thread(record_of, world.stage.program, request_id)
    assert record["outcome"] == "cancelled"
    assert record["prompt_tokens"] > 0


def test_a_key_may_use_what_its_list_says_and_pays_from_its_quota(world: Abroad):
    world.behave()
    program = world.stage.program
    other = program.create_key("no-vendors", models=["fake"])
    with program.client(other) as client:
        refused = client.post("/v1/messages", content=BODY % CLAUDE.encode())
    assert refused.status_code == 403
    poor = program.create_key("poor", daily_token_quota=10)
    with program.client(poor) as client:
        spent = client.post("/v1/messages", content=BODY % CLAUDE.encode())
    assert spent.status_code == 429
    assert not world.anthropic.requests


def test_its_models_are_listed(world: Abroad):
    with world.stage.program.client(world.stage.key) as client:
        names = [item["id"] for item in client.get("/v1/models").json()["data"]]
        one = client.get("/v1/models/claude-opus-4-8").json()
    assert "claude-opus-4-8" in names
    assert "fake" in names
    assert one["id"] == "claude-opus-4-8"
    assert one["context_window"] == 1_000_000


def test_a_key_that_the_vendor_does_not_accept_is_a_finding_until_the_vendor_answers(world: Abroad):
    program = world.stage.program

    def findings() -> list[tuple[str, str]]:
        found = json.loads(program.cli("doctor", "--json").stdout)["items"]
        return [
            (f["message"], f["mend"]) for f in found if f["check"] == "vendors" and f["state"] == "problem"
        ]

    world.behave(fault=Fault("status", status=401, message="invalid x-api-key"))
    assert post(world, BODY % CLAUDE.encode()).status_code == 529
    ((message, mend),) = findings()
    assert message.startswith("Anthropic does not accept the leader's key (")
    assert mend == "check its key for Anthropic"
    assert "anthropic (gave no answer: flockpy doctor), openai" in program.cli("status").stdout
    assert "Anthropic does not accept the leader's key" in program.said()
    assert post(world, BODY % CLAUDE.encode()).status_code == 200
    assert findings() == []
    listed = program.cli("model", "ls", "--vendors").stdout
    assert "claude-opus-4-8" in listed and "text-embedding-3-small" in listed


def test_the_vendors_key_is_nowhere_to_be_read(world: Abroad):
    world.behave(fault=Fault("status", status=401, message=f"invalid x-api-key {KEY}"))
    post(world, BODY % CLAUDE.encode())
    program = world.stage.program
    shown = program.cli("config", "show")
    assert shown.returncode == 0
    said = "".join(
        (
            json.dumps(program.get("/admin/v1/config")),
            shown.stdout,
            program.said(),
            json.dumps(program.get("/admin/v1/usage/recent")),
            program.cli("doctor").stdout,
        )
    )
    assert KEY not in said
    eventually(lambda: "anthropic_api_key" in shown.stdout, "the configuration names the key", 1)
