"""OpenAI's protocols: forms and fields that two servers read differently, and a vendor that repeats the key."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.cluster.metering import record_of
from tests.cluster.raw_messages import stream
from tests.cluster.raw_vendor import whole
from tests.cluster.watched import CANARY, CHAT, Watched, forms, watched

MODEL = "gpt-4.1-mini"
SOUND = "gpt-4o-mini-transcribe"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
USAGE = {"prompt_tokens": 10, "completion_tokens": 40, "total_tokens": 50}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("openai")
    with watched(folder, openai=True, router=f"aliases:\n  ears: {SOUND}") as world:
        yield world


def completion(text: str, choices: int = 1) -> bytes:
    message = {"role": "assistant", "content": text}
    made = [{"index": n, "message": message, "finish_reason": "stop"} for n in range(choices)]
    said = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": made}
    return json.dumps({**said, "usage": USAGE}).encode()


def chunks(*texts: str) -> list[bytes]:
    said = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    made: list[dict[str, Any]] = [
        {**said, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in texts
    ]
    ends = {**said, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    made += [ends, {**said, "choices": [], "usage": USAGE}]
    return [b"data: %b\n\n" % json.dumps(one).encode() for one in made] + [b"data: [DONE]\n\n"]


def form(model: str, boundary: str = "b") -> bytes:
    parts = (f'name="model"\r\n\r\n{model}', 'name="file"; filename="a.wav"\r\n\r\nRIFF')
    lines = "".join(f"--{boundary}\r\nContent-Disposition: form-data; {part}\r\n" for part in parts)
    return f"{lines}--{boundary}--\r\n".encode()


def transcribe(world: Watched, data: bytes, kind: str) -> httpx.Response:
    with world.program.client(world.key) as client:
        return client.post(TRANSCRIPTIONS, content=data, headers={"content-type": kind})


def test_a_form_is_read_there_as_it_was_read_here(world: Watched):
    """The same bytes with another boundary would be another form: of a model that was not admitted."""
    world.vendor.say(whole(b'{"text": "hello"}'))
    inner = form("gpt-4o-transcribe", "inner").decode()
    parts = f'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\r\n{inner}\r\n'
    data = parts.encode() + form(SOUND)
    answer = transcribe(world, data, "multipart/form-data; boundary=inner")
    assert answer.status_code == 200, answer.text
    (heard,) = world.vendor.requests
    assert heard.headers["content-type"] == 'multipart/form-data; boundary="b"'
    assert heard.body == data


@pytest.mark.parametrize("name", ["ears", SOUND])
def test_a_form_names_the_model_that_is_meant(world: Watched, name: str):
    world.vendor.say(whole(b'{"text": "hello"}'))
    answer = transcribe(world, form(name), "multipart/form-data; boundary=b")
    assert answer.status_code == 200, answer.text
    (heard,) = world.vendor.requests
    assert SOUND.encode() in heard.body
    assert b"ears" not in heard.body
    assert heard.target == TRANSCRIPTIONS


def test_text_is_an_answer_too(world: Watched):
    world.vendor.say(whole(b"1\n00:00 hello", kind=b"text/plain"))
    answer = transcribe(world, form(SOUND), "multipart/form-data; boundary=b")
    assert (answer.status_code, answer.content) == (200, b"1\n00:00 hello")


def test_all_that_a_vendor_bills_is_counted_once(world: Watched):
    world.vendor.say(whole(completion("hi", 4)))
    answer = world.ask(CHAT, model=MODEL, n=4)
    record = record_of(world.program, answer.headers["x-request-id"])
    assert (record["prompt_tokens"], record["completion_tokens"]) == (10, 40)
    assert record["tokens_source"] == "engine"


@pytest.mark.parametrize("streams", [False, True])
def test_a_key_that_is_repeated_is_cut_out(world: Watched, streams: bool):
    said = b"".join(chunks("one ", f"key {CANARY}!", " two"))
    pieces = (said[at : at + 7] for at in range(0, len(said), 7))
    world.vendor.say(stream(*pieces) if streams else whole(completion(f"key {CANARY}!")))
    answer = world.ask(CHAT, model=MODEL, stream=streams)
    assert answer.status_code == 200
    assert not any(form in answer.content for form in forms(CANARY))
    assert b"key ***!" in answer.content
    if streams:
        assert answer.content.endswith(b"data: [DONE]\n\n")
    assert record_of(world.program, answer.headers["x-request-id"])["completion_tokens"] == 40


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/responses", {"model": MODEL, "input": "hi"}),
        ("/v1/embeddings", {"model": "text-embedding-3-small", "input": "hi"}),
    ],
)
def test_who_pays_and_who_listens_is_not_the_clients_to_say(
    world: Watched, path: str, fields: dict[str, Any]
):
    world.vendor.say(whole(completion("hi")))
    headers = {"openai-organization": "org-theirs", "openai-project": "theirs", "openai-beta": "x=v2"}
    with world.program.client(world.key) as client:
        client.post(path, json=fields, headers=headers)
        (heard,) = world.vendor.requests
        refused = client.post(path, json={**fields, "background": True}, headers=headers)
    assert b"heirs" not in heard.head
    assert heard.headers["openai-beta"] == "x=v2"
    assert heard.headers["authorization"] == f"Bearer {CANARY}"
    assert refused.status_code == 400
    assert len(world.vendor.requests) == 1


def test_an_event_without_end_is_given_up(world: Watched):
    leader = world.program.process("leader")
    before = leader.memory_info().rss
    for path in (CHAT, "/v1/responses"):
        world.vendor.say_for_ever(stream()[:-5], b"10000\r\n" + b"x" * 65536 + b"\r\n")
        answer = world.ask(path, model=MODEL, stream=True, input="hi")
        assert answer.status_code == 502 or b"error" in answer.content[-2000:]
    assert leader.memory_info().rss - before < 400 * 2**20
