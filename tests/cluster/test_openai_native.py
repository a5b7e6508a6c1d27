"""Who speaks a protocol of OpenAI's to one of OpenAI's models hears OpenAI itself, metered like everybody."""

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from flockpy.catalog import folders, load_vendors
from tests.cluster.abroad import CODEX, GPT, Abroad, abroad
from tests.cluster.metering import record_of
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import KEY, Fault

INSTRUCT = "gpt-3.5-turbo-instruct"
EMBEDDER = "text-embedding-3-small"
HI = [{"role": "user", "content": "hi"}]
ASKED = {  # by path: a body in the client's own way of writing, white space and unknown order included
    "/v1/chat/completions": b'{"messages": [{"role":"user","content":"\\u0068i"}],  "model":"%b" , "stream":%b}'
    % (GPT.encode(), b"%b"),
    "/v1/responses": b'{"input":"\\u0068i", "stream": %b,"model" :"%b"}' % (b"%b", CODEX.encode()),
    "/v1/completions": b'{"model":"%b","prompt":"\\u0068i", "stream":%b, "max_tokens": 9}'
    % (INSTRUCT.encode(), b"%b"),
}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
both = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
everywhere = pytest.mark.parametrize("path", ASKED, ids=lambda path: path.rpartition("/")[2])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Abroad]:
    aliases = f"aliases:\n  cheap: {GPT}\n  vectors: {EMBEDDER}\n  heard: gpt-4o-transcribe"
    with abroad(tmp_path_factory.mktemp("openai"), router=aliases) as world:
        yield world


def post(world: Abroad, path: str, body: bytes | dict[str, Any], key: str = "") -> httpx.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with world.stage.program.client(key or world.stage.key) as client:
        return client.post(path, content=data)


def direct(world: Abroad, path: str, body: bytes) -> httpx.Response:
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    return httpx.post(f"{world.openai.url}{path}", content=body, headers=headers)


def nameless(answer: bytes) -> bytes:
    """Without what is another in each answer."""
    return re.sub(rb"Simulated\d+|Sim\d+x|(?<=_)[0-9a-f]{18,}", b"", answer)


def of(path: str, stream: bool) -> bytes:
    return ASKED[path] % (b"true" if stream else b"false")


@both
@everywhere
def test_request_and_answer_pass_byte_for_byte(world: Abroad, path: str, stream: bool):
    world.behave(turn=Turn("one two three four"), reasoning="Hm, well.", cache_read=1)
    answer = post(world, path, of(path, stream))
    assert answer.status_code == 200, answer.text
    (received,) = world.openai.requests
    assert received.path == path
    assert received.header("authorization") == f"Bearer {KEY}"
    hidden = stream and path != "/v1/responses"
    if hidden:
        asked = json.loads(of(path, stream))
        assert received.json() == {**asked, "stream_options": {"include_usage": True}}
    else:
        assert received.body == of(path, stream)
    told = direct(world, path, received.body)
    assert answer.headers["content-type"].split(";")[0] == told.headers["content-type"].split(";")[0]
    events = [event for event in told.content.split(b"\n\n") if not (hidden and b'"choices": []' in event)]
    assert nameless(answer.content) == nameless(b"\n\n".join(events))


def test_who_asks_for_the_usage_has_it_and_is_not_rewritten(world: Abroad):
    world.behave()
    sent = b'{"model":"%b", "stream":true, "stream_options": { "include_usage":true }, "messages":%b}'
    sent %= GPT.encode(), json.dumps(HI).encode()
    answer = post(world, "/v1/chat/completions", sent)
    (received,) = world.openai.requests
    assert received.body == sent
    assert nameless(answer.content) == nameless(direct(world, "/v1/chat/completions", sent).content)
    assert answer.content.count(b'"choices": []') == 1


@both
@everywhere
def test_what_it_cost_is_in_the_record(world: Abroad, path: str, stream: bool):
    world.behave(reasoning="I think. I am.", cache_read=1000)
    answer = post(world, path, of(path, stream))
    record = record_of(world.stage.program, answer.headers["x-request-id"])
    assert (record["outcome"], record["status"], record["tokens_source"]) == ("ok", 200, "engine")
    model = json.loads(of(path, stream))["model"]
    assert (record["model"], record["node_id"], record["cached_tokens"]) == (model, "openai", 1000)
    assert (answer.headers["x-flock-node"], answer.headers["x-flock-model"]) == ("openai", model)
    assert answer.headers["x-flock-route"] == "vendor:openai"
    known = load_vendors(folders()).find("openai", model)
    if known is None:
        assert record["cost_usd"] is None
    else:
        cost = known.price.cost(record["prompt_tokens"], record["completion_tokens"], 1000, 0)
        assert float(record["cost_usd"]) == pytest.approx(cost)


def test_several_choices_are_metered_as_the_vendor_counts_them(world: Abroad):
    world.behave(turn=Turn("one two three"))
    for stream in (False, True):
        body = {"model": "gpt-4o", "messages": HI, "n": 3, "stream": stream}
        answer = post(world, "/v1/chat/completions", body)
        record = record_of(world.stage.program, answer.headers["x-request-id"])
        assert (record["completion_tokens"], record["tokens_source"]) == (3, "engine")


def test_an_alias_reaches_it_under_its_own_name(world: Abroad):
    world.behave()
    for path, body in (
        ("/v1/chat/completions", {"messages": HI, "model": "cheap"}),
        ("/v1/responses", {"input": "hi", "model": "cheap"}),
        ("/v1/embeddings", {"input": "hi", "model": "vectors"}),
    ):
        world.behave()
        answer = post(world, path, body)
        model = EMBEDDER if "embed" in path else GPT
        assert answer.status_code == 200, answer.text
        assert world.openai.requests[0].json() == {**body, "model": model}
        assert answer.headers["x-flock-model"] == model


def test_tools_of_a_chat_are_not_rewritten_and_calls_not_mended(world: Abroad):
    """Nor is text that looks like a call: OpenAI's models mean what they say."""
    leaked = '<tool_call>{"name": "get_weather", "arguments": {}}</tool_call>'
    conversation = [
        {"role": "developer", "content": "Be brief."},
        *HI,
        {"role": "system", "content": "Now."},
        *HI,
    ]
    for stream in (False, True):
        world.behave(turn=Turn(leaked, (Call("get_weather", '{"city":'),)))
        body = {"model": "gpt-4o", "messages": conversation, "tools": [WEATHER], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        sent = json.dumps(body, indent=1).encode()
        answer = post(world, "/v1/chat/completions", sent)
        (received,) = world.openai.requests
        assert received.body == sent
        assert nameless(answer.content) == nameless(direct(world, "/v1/chat/completions", sent).content)


def test_embeddings_pass_as_they_are(world: Abroad):
    world.behave()
    for form in ("float", "base64"):
        world.behave()
        sent = {"model": EMBEDDER, "input": ["a", "b c"], "encoding_format": form, "dimensions": 3}
        answer = post(world, "/v1/embeddings", sent)
        (received,) = world.openai.requests
        assert received.json() == sent
        assert answer.content == direct(world, "/v1/embeddings", received.body).content
        record = record_of(world.stage.program, answer.headers["x-request-id"])
        assert (record["prompt_tokens"], record["completion_tokens"]) == (3, 0)
        assert float(record["cost_usd"]) > 0


def test_a_recording_is_written_down(world: Abroad):
    api = openai.OpenAI(base_url=f"{world.stage.program.url}/v1", api_key=world.stage.key, max_retries=0)
    names = {
        "heard": "gpt-4o-transcribe",
        "gpt-4o-mini-transcribe": "gpt-4o-mini-transcribe",
        "whisper-1": "whisper-1",
    }
    with api:
        for asked, model in names.items():
            world.behave()
            said = api.audio.transcriptions.with_raw_response.create(
                model=asked, file=("a.wav", b"12345"), language="en", prompt=f"{asked}?"
            )
            assert said.parse().text == "5 bytes"
            (received,) = world.openai.requests
            assert b'name="language"\r\n\r\nen\r\n' in received.body
            assert b'name="model"\r\n\r\n%b\r\n' % model.encode() in received.body
            assert (received.header("content-type") or "").startswith("multipart/form-data; boundary=")
            assert said.headers["x-flock-model"] == model
            record = record_of(world.stage.program, said.headers["x-request-id"])
            assert (record["prompt_tokens"], record["completion_tokens"]) == (7, 3)
            assert (record["node_id"], record["tokens_source"]) == ("openai", "engine")


def test_a_form_is_the_one_that_was_admitted(world: Abroad):
    """Its head names a boundary by which another form would be read, with another model in it."""
    world.behave()
    part = '--{}\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    inner = part.format("b", "model", "", "gpt-4o-transcribe") + part.format(
        "b", "file", '; filename="a"', "1"
    )
    outer = part.format("a", "model", "", "whisper-1") + part.format(
        "a", "file", '; filename="a"', inner + "--b--"
    )
    with world.stage.program.client(world.stage.key) as client:
        kind = {"content-type": "multipart/form-data; boundary=b"}
        answer = client.post("/v1/audio/transcriptions", content=outer.encode() + b"--a--\r\n", headers=kind)
    assert answer.status_code == 200, answer.text
    (received,) = world.openai.requests
    assert received.header("content-type") == 'multipart/form-data; boundary="a"'
    assert answer.headers["x-flock-model"] == "whisper-1"


def test_embeddings_are_given_to_ollamas_clients_too(world: Abroad):
    vectors = [
        row["embedding"]
        for row in direct(
            world,
            "/v1/embeddings",
            json.dumps({"model": EMBEDDER, "input": ["a", "b c"], "dimensions": 3}).encode(),
        ).json()["data"]
    ]
    for model in (EMBEDDER, "vectors"):
        world.behave()
        asked = {"model": model, "input": ["a", "b c"], "dimensions": 3, "truncate": True, "keep_alive": "5m"}
        answer = post(world, "/api/embed", asked)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["model"], answer.json()["embeddings"]) == (model, vectors)
        record = record_of(world.stage.program, answer.headers["x-request-id"])
        assert (record["prompt_tokens"], record["tokens_source"]) == (3, "engine")
        once = post(world, "/api/embeddings", {"model": model, "prompt": "a"})
        assert len(once.json()["embedding"]) == 4
        assert not world.openai.refusals
    world.behave(fault=Fault("status", status=400, message="too many"))
    refused = post(world, "/api/embed", {"model": EMBEDDER, "input": "a"})
    assert refused.status_code == 400
    assert "too many" in refused.json()["error"]


def test_its_limits_are_told_and_its_account_is_not(world: Abroad):
    world.behave()
    for path in ASKED:
        headers = post(world, path, of(path, False)).headers
        assert headers["x-ratelimit-remaining-tokens"] == "1999000"
        assert headers["openai-processing-ms"] == "42"
        assert not {"openai-organization", "openai-project", "cf-ray"} & set(headers)
        assert headers["x-request-id"].startswith("req_")
        assert "simulated" not in headers["x-request-id"]


REFUSALS: list[tuple[int, str | None, str | None]] = [
    (400, None, "invalid_value"),
    (404, None, "model_not_found"),
    (429, "tokens", "rate_limit_exceeded"),
    (429, "insufficient_quota", "insufficient_quota"),
    (500, None, None),
    (503, None, None),
]


@everywhere
@pytest.mark.parametrize(("status", "kind", "code"), REFUSALS)
def test_its_refusals_pass_as_they_are(
    world: Abroad, path: str, status: int, kind: str | None, code: str | None
):
    words = "the model's own words"
    for stream in (True, False):
        world.behave(fault=Fault("status", 2, status=status, kind_of=kind, code=code, message=words))
        told = direct(world, path, of(path, stream))
        answer = post(world, path, of(path, stream))
        assert (answer.status_code, answer.content) == (status, told.content)
        assert ("retry-after" in answer.headers) == (status in (429, 503)), "some clients try nothing without"
        record = record_of(world.stage.program, answer.headers["x-request-id"])
        assert (record["status"], record["prompt_tokens"], record["completion_tokens"]) == (status, 0, 0)
        assert record["outcome"] == ("refused" if status < 500 else "failed")


def test_what_it_finds_wrong_names_the_field_as_it_does(world: Abroad):
    world.behave()
    answer = post(world, "/v1/chat/completions", {"model": GPT, "messages": HI, "colour": "red"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "colour"
    world.behave()
    answer = post(world, "/v1/chat/completions", {"model": "gpt-9", "messages": HI})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


@both
@everywhere
@pytest.mark.parametrize("status", [401, 403])
def test_what_is_wrong_with_the_leaders_key_is_not_the_clients_401(
    world: Abroad, path: str, status: int, stream: bool
):
    world.behave(fault=Fault("status", status=status, message="Incorrect API key: sk-si****cdef"))
    answer = post(world, path, of(path, stream))
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_unreachable"
    assert "leader's" in answer.json()["error"]["message"]


@everywhere
def test_a_page_of_what_stands_before_it_is_told_in_the_clients_protocol(world: Abroad, path: str):
    for status, told in ((502, 502), (503, 503), (404, 503)):
        world.behave(fault=Fault("page", status=status))
        answer = post(world, path, of(path, True))
        assert answer.status_code == told
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("path", "bound"),
    [
        ("chat/completions", "max_completion_tokens"),
        ("responses", "max_output_tokens"),
        ("completions", "max_tokens"),
    ],
)
def test_a_quota_bounds_the_answer_where_its_client_does_not(world: Abroad, path: str, bound: str):
    poor = world.stage.program.create_key(f"poor-{path}", daily_token_quota=3000)
    model = INSTRUCT if path == "completions" else GPT
    asked = {
        "chat/completions": {"messages": HI},
        "responses": {"input": "hi"},
        "completions": {"prompt": "hi"},
    }
    world.behave()
    assert post(world, f"/v1/{path}", {"model": model, **asked[path]}, poor).status_code == 200
    (received,) = world.openai.requests
    assert 16 <= received.json()[bound] < 3000
    world.behave()
    assert post(world, f"/v1/{path}", {"model": model, bound: 20, **asked[path]}, poor).status_code == 200
    (received,) = world.openai.requests
    assert received.json()[bound] == 20


def test_a_quota_bounds_what_is_translated_too(world: Abroad):
    poor = world.stage.program.create_key("poor-translated", daily_token_quota=3000)
    asked = {
        "/api/chat": {"model": GPT, "messages": HI},
        "/v1/chat/completions": {"model": CODEX, "messages": HI},
    }
    for path, body in asked.items():
        world.behave()
        assert post(world, path, {**body, "stream": False}, poor).status_code == 200
        (received,) = world.openai.requests
        assert received.path == "/v1/responses"
        assert 16 <= received.json()["max_output_tokens"] < 3000


def test_an_account_with_nothing_left_is_not_the_clients_quota(world: Abroad):
    words = "You exceeded your current quota, please check your plan and billing details."
    for code in ("insufficient_quota", "billing_hard_limit_reached"):
        world.behave(
            fault=Fault("status", status=429, kind_of="insufficient_quota", code=code, message=words)
        )
        answer = post(world, "/v1/messages", {"model": GPT, "messages": HI, "max_tokens": 64})
        assert (answer.status_code, answer.json()["error"]["type"]) == (529, "api_error")
        assert "leader's account" in answer.json()["error"]["message"]
        assert (answer.headers["retry-after"], answer.headers["x-should-retry"]) == ("1", "false")


def test_a_key_may_use_what_its_list_says_and_pays_from_its_quota(world: Abroad):
    world.behave()
    program = world.stage.program
    other = program.create_key("no-gpt", models=["fake"])
    poor = program.create_key("spent", daily_token_quota=10)
    for path in ASKED:
        assert post(world, path, of(path, False), other).status_code == 403
        spent = post(world, path, of(path, False), poor)
        assert (spent.status_code, spent.json()["error"]["code"]) == (429, "insufficient_quota")
    with program.client(other) as client:
        assert [item["id"] for item in client.get("/v1/models").json()["data"] if "gpt" in item["id"]] == []
    assert not world.openai.requests


def test_its_models_are_listed_and_why_names_it(world: Abroad):
    world.behave()
    with world.stage.program.client(world.stage.key) as client:
        names = [item["id"] for item in client.get("/v1/models").json()["data"]]
        one = client.get(f"/v1/models/{GPT}").json()
        tags = [model["name"] for model in client.get("/api/tags").json()["models"]]
        said = client.post("/api/chat", json={"model": f"{GPT}:latest", "messages": HI, "stream": False})
    assert {GPT, EMBEDDER, "fake"} <= set(names)
    assert {f"{GPT}:latest", f"{EMBEDDER}:latest", "fake:latest"} <= set(tags)
    assert (said.status_code, said.headers["x-flock-model"]) == (200, GPT)
    assert one["id"] == GPT
    answer = post(world, "/v1/chat/completions", {"model": GPT, "messages": HI})
    why = world.stage.program.cli("why", answer.headers["x-request-id"])
    assert why.returncode == 0, why.stderr
    assert "vendor:openai" in why.stdout
    assert GPT in why.stdout
