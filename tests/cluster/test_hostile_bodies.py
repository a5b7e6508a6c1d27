"""Bodies that are wrong get a 400 in OpenAI's shape that names the field; the next good request is served."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.cluster.program import Program, eventually, running
from tests.cluster.raw_http import GOOD

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
HI = [{"role": "user", "content": "hi"}]
DEEP = 100_000


ENGINES = ["embedded", pytest.param("llamacpp", marks=pytest.mark.needs_program("llama-server"))]


@pytest.fixture(scope="module", params=ENGINES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("bodies"), FLOCK_ENGINE=request.param) as program:
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        yield program


@pytest.fixture(scope="module")
def client(program: Program) -> Iterator[httpx.Client]:
    with program.client() as client:
        yield client


@pytest.fixture(autouse=True)
def the_next_request_is_served(program: Program, client: httpx.Client) -> Iterator[None]:
    """After whatever a test has sent."""
    yield
    assert client.post(CHAT, content=GOOD).status_code == 200
    assert "Traceback" not in program.said()


def refused(answer: httpx.Response, param: str | None, status: int = 400) -> dict[str, Any]:
    """The error of an answer, which is of that status and names that field."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param, error
    assert answer.headers["x-request-id"].startswith("req_")
    assert len(answer.content) < 3000
    return error


def with_chat(**fields: Any) -> bytes:
    return json.dumps({"model": "flock-demo", "messages": HI, "max_tokens": 2, **fields}).encode()


NO_JSON = {
    "nothing": b"",
    "text": b"hello",
    "a form": b"model=flock-demo&messages=hi",
    "half a body": GOOD[:-9],
    "two bodies": GOOD + GOOD,
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "a raw NUL": GOOD.replace(b"hi", b"h\x00i"),
    "NULs alone": b"\x00" * 1000,
    "no UTF-8": GOOD.replace(b"hi", b"\xff\xfe"),
    "no UTF-8 in the model": GOOD.replace(b"flock-demo", b"\xc3\x28"),
    "half a surrogate pair": GOOD.replace(b"hi", b"\\ud800"),
    "the other half": GOOD.replace(b"hi", b"\\udc00 "),
    "NaN": GOOD[:-1] + b',"temperature":NaN}',
    "lists without end": GOOD[:-1] + b',"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "objects without end": GOOD[:-1] + b',"x":' + b'{"a":' * DEEP + b"1" + b"}" * DEEP + b"}",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "a string": b'"hello"',
}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS])
@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON.keys())
def test_a_body_that_is_no_json_object_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(path, content=body)
    refused(answer, answer.json()["error"]["param"])
    missing = {COMPLETIONS: "prompt", EMBEDDINGS: "input"}.get(path)
    assert answer.json()["error"]["param"] in ("body", "model", missing)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, b"{}", "messages"),
        (COMPLETIONS, b"{}", "prompt"),
        (EMBEDDINGS, b"{}", "input"),
        (CHAT, b'{"messages":[]}', "messages"),
        (CHAT, b'{"messages":"hi"}', "messages"),
        (CHAT, b'{"messages":null}', "messages"),
        (
            CHAT,
            b'{"model":"flock-demo","model":"other","messages":[{"role":"user","content":"hi"}]}',
            "model",
        ),
        (CHAT, b'{"model":1,"messages":[{}]}', "model"),
        (CHAT, b'{"model":null,"messages":[{}]}', "model"),
        (COMPLETIONS, b'{"prompt":null}', "prompt"),
        (COMPLETIONS, b'{"prompt":1}', "prompt"),
        (COMPLETIONS, b'{"prompt":{}}', "prompt"),
        (COMPLETIONS, b'{"prompt":[null]}', "prompt[0]"),
        (COMPLETIONS, b'{"prompt":["a",1]}', "prompt"),
        (COMPLETIONS, b'{"prompt":[[]]}', "prompt"),
        (COMPLETIONS, b'{"prompt":[1000000000]}', "prompt"),
        (COMPLETIONS, b'{"prompt":"a","max_tokens":-1}', "max_tokens"),
        (COMPLETIONS, b'{"prompt":"a","best_of":1000000}', "best_of"),
        (COMPLETIONS, b'{"prompt":"a","logprobs":"x"}', "logprobs"),
        (EMBEDDINGS, b'{"input":1}', "input"),
        (EMBEDDINGS, b'{"input":"a","encoding_format":"hex"}', "encoding_format"),
        (EMBEDDINGS, b'{"input":"a","dimensions":0}', "dimensions"),
        (EMBEDDINGS, b'{"input":"a","model":"flock-demo"}', "model"),
    ],
)
def test_what_a_route_needs_is_named(client: httpx.Client, path: str, body: bytes, param: str) -> None:
    refused(client.post(path, content=body), param)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens", "n_predict"])
@pytest.mark.parametrize("value", [-1, 0, 2**31, 2**63, 2**64, 10**40, 1.5, 1e300, "5", True, [], {}])
def test_an_impossible_bound_on_tokens_is_refused(client: httpx.Client, field: str, value: object) -> None:
    body = {"model": "flock-demo", "messages": HI, field: value}
    refused(client.post(CHAT, json=body), field)


@pytest.mark.parametrize("value", [1, 10**6, 2**31 - 1])
def test_a_large_bound_on_tokens_is_no_error(client: httpx.Client, value: int) -> None:
    assert client.post(CHAT, content=with_chat(max_tokens=value)).status_code == 200


WRONG: dict[str, list[object]] = {
    "stream": ["yes", 1, [], {}],
    "stream_options": [1, "x", [], {"include_usage": "x"}],
    "n": [0, -1, 129, 10**30, "1", 1.5, [], {}],
    "temperature": ["hot", [], {}, True],
    "top_p": ["x", [], {}],
    "top_k": ["x", 1.5, []],
    "seed": ["x", [], {}, 10**40],
    "stop": [1, {}, [1], [None], True],
    "presence_penalty": ["x", []],
    "user": [1, [], {}],
    "tools": [1, "x", {}, [1], [None], [{"function": 1}], [{"type": 1}], [{}], [{"type": "function"}]],
    "tool_choice": [1, [], {}, {"a": 1}, {"function": {}}, "perhaps", {"function": {"name": "unheard of"}}],
    "response_format": [1, "json", [], {}, {"type": 1}, {"type": "prose"}],
    "logprobs": ["x", 1, []],
    "top_logprobs": [-1, 21, "x", []],
    "logit_bias": [1, "x"],
    "cache_prompt": ["x", 1],
    "lora": [1, "x"],
    "samplers": [[None]],
    "reasoning_format": ["x", 1, None],
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("field", WRONG)
def test_a_field_of_the_wrong_type_is_named(client: httpx.Client, field: str, stream: bool) -> None:
    for value in WRONG[field]:
        answer = client.post(CHAT, content=with_chat(**{"stream": stream, field: value}))
        assert answer.status_code == 400, (value, answer.text)
        param = answer.json()["error"]["param"]
        assert param is not None, (value, answer.text)
        assert param.startswith(field), (value, answer.text)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hi", "messages[0]"),
        (None, "messages[0]"),
        ({}, "messages[0].role"),
        ({"content": "hi"}, "messages[0].role"),
        ({"role": 1, "content": "hi"}, "messages[0].role"),
        ({"role": "user"}, "messages"),
        ({"role": "user", "content": 1}, "messages[0].content"),
        ({"role": "user", "content": [1]}, "messages[0].content[0]"),
        ({"role": "user", "content": [{}]}, "messages[0].content[0].type"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages"),
        ({"role": "user", "content": [{"type": "smell"}]}, "messages"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///x"}}]}, "messages"),
        ({"role": "assistant", "tool_calls": [{}]}, "messages"),
        ({"role": "assistant", "tool_calls": [{"function": 1}]}, "messages[0].tool_calls[0].function"),
    ],
)
def test_a_message_of_the_wrong_shape_is_named(client: httpx.Client, message: object, param: str) -> None:
    refused(client.post(CHAT, content=with_chat(messages=[message])), param)


@pytest.mark.parametrize(
    "content", ["\u0000", "a\u0000b", "", "\U0001f986", "\u202e\u2028\ufffe", "x" * 50_000]
)
def test_odd_text_is_text(client: httpx.Client, content: str) -> None:
    answer = client.post(CHAT, content=with_chat(messages=[{"role": "user", "content": content}]))
    assert answer.status_code in (200, 400)
    assert answer.status_code == 200 or len(content) > 10_000


def test_a_prompt_longer_than_the_window_says_so(client: httpx.Client) -> None:
    for stream in (False, True):
        body = with_chat(messages=[{"role": "user", "content": "word " * 100_000}], stream=stream)
        assert refused(client.post(CHAT, content=body), "messages")["code"] == "context_length_exceeded"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, EMBEDDINGS])
@pytest.mark.parametrize(
    "name", ["flock-dmo", "FLOCK-DEMO", "gpt-oss-9b", "x" * 100_000, "\u0000", "../x", "<b>\u202e\r\n"]
)
def test_an_unknown_model_is_not_found_and_near_names_are_offered(
    client: httpx.Client, path: str, name: str
) -> None:
    answer = client.post(path, json={"model": name, "messages": HI, "prompt": "hi", "input": "hi"})
    error = refused(answer, "model", 404)
    assert error["code"] == "model_not_found"
    assert "flock-demo" in error["message"]
    assert answer.headers["x-should-retry"] == "false"
    assert "\u202e" not in error["message"]


def test_unknown_fields_are_no_error(client: httpx.Client) -> None:
    body = with_chat(frobnicate={"a": [1, None]}, metadata={"b": "c"}, store=False, service_tier="auto")
    assert client.post(CHAT, content=body).status_code == 200
