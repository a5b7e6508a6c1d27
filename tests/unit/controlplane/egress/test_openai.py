"""OpenAI as a vendor: what is posted to it, for real, and what its clients are told."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from controlplane.egress.base import Question, Vendor
from controlplane.egress.openai import OpenAI
from controlplane.protocols.ir import fold
from controlplane.protocols.ollama import OllamaGenerateSurface
from controlplane.protocols.openai_chat import CompletionSurface
from controlplane.tenants.model import Surface
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    LeaderRefused,
    Overloaded,
    UnknownModel,
)
from tests.simulators.openai_vendor import OpenAiVendor
from tests.simulators.vendor_server import KEY
from tests.unit.controlplane.egress.asking import deltas, native, posting, sent, translated

ROOT = Path(__file__).resolve().parents[4]
LONG = b"a " * 200_001
LOST = b'{"model":"m","input":[{"type":"item_reference","id":"rs_1"}]}'


def vendor(cloud: OpenAiVendor) -> Vendor:
    return OpenAI(KEY, cloud.url)


@pytest.mark.parametrize(
    ("model", "claimed"),
    [
        *(
            (name, True)
            for name in ("gpt-5.5", "gpt-4o", "gpt-6-sol", "o1", "o3-mini", "o4-mini", "chatgpt-4o-latest")
        ),
        *(
            (name, True)
            for name in ("codex-mini-latest", "text-embedding-3-small", "gpt-3.5-turbo-instruct", "whisper-1")
        ),
        *(
            (name, False)
            for name in (
                "gpt-oss-20b",
                "gpt-oss",
                "whisper-1.5",
                "whisper-large-v3",
                "claude-opus-4-8",
                "o3abc",
                "llama",
                "my-gpt-4",
                "gpt",
            )
        ),
    ],
)
def test_it_claims_the_names_of_its_own_models(model: str, claimed: bool):
    assert OpenAI(KEY).claims(model) is claimed


def test_it_claims_every_model_of_its_catalog():
    catalog = yaml.safe_load((ROOT / "catalog" / "vendors" / "openai.yaml").read_text())
    assert [model["id"] for model in catalog["models"] if not OpenAI(KEY).claims(model["id"])] == []


@pytest.mark.parametrize(
    ("model", "manners"),
    [
        ("gpt-5.5", {"chat": "native", "completions": "native", "responses": "native"}),
        ("gpt-5.5-pro", {"chat": "translated", "completions": "native", "responses": "native"}),
        ("o3-pro", {"chat": "translated", "completions": "native", "responses": "native"}),
        ("gpt-5.1-codex-max", {"chat": "translated", "completions": "native", "responses": "native"}),
        ("text-embedding-3-small", {"embeddings": "native"}),
        ("gpt-4o-mini-transcribe", {"transcriptions": "native"}),
        ("whisper-1", {"transcriptions": "native"}),
    ],
)
def test_every_surface_reaches_a_model_in_its_manner(model: str, manners: dict[str, str]):
    surfaces: tuple[Surface, ...] = (
        *("chat", "completions", "embeddings", "messages", "ollama", "rerank", "responses", "transcriptions"),
    )
    if "chat" in manners:
        manners |= {"messages": "translated", "ollama": "translated"}
    found = {surface: OpenAI(KEY).manner(surface, model) for surface in surfaces}
    assert {surface: manner for surface, manner in found.items() if manner} == manners


CHAT = b'{ "model":"gpt-5", "messages":[{"role":"user","content":"\\u0041 b"}] }'


def test_what_needs_no_change_goes_byte_for_byte(cloud: OpenAiVendor):
    posted = posting(vendor(cloud), native("chat", CHAT, "gpt-5"))
    answer = sent(posted)
    assert (posted.body, posted.reader, posted.hide_usage) == (CHAT, None, False)
    assert answer.status_code == 200 and cloud.requests[0].body == CHAT


def test_only_the_clients_word_on_betas_goes_along(cloud: OpenAiVendor):
    theirs = (
        (b"openai-beta", b"responses=v1"),
        (b"openai-organization", b"org-theirs"),
        (b"openai-project", b"proj-theirs"),
        (b"content-type", b"application/json; charset=latin-1"),
        (b"x-stainless-lang", b"python"),
        (b"authorization", b"Bearer theirs"),
    )
    sent(posting(vendor(cloud), native("chat", CHAT, "gpt-5", headers=theirs)))
    headers = dict(cloud.requests[0].headers)
    assert (headers["openai-beta"], headers["authorization"]) == ("responses=v1", f"Bearer {KEY}")
    assert headers["content-type"] == "application/json"
    assert not {"openai-organization", "openai-project", "x-stainless-lang"} & headers.keys()


@pytest.mark.parametrize(
    ("options", "said", "hidden"),
    [
        (b"", {"include_usage": True}, True),
        (b', "stream_options":null', {"include_usage": True}, True),
        (
            b', "stream_options":{"include_obfuscation":false}',
            {"include_obfuscation": False, "include_usage": True},
            True,
        ),
        (b', "stream_options":{"include_usage":true}', {"include_usage": True}, False),
    ],
)
def test_a_stream_is_counted_though_its_client_did_not_ask(
    cloud: OpenAiVendor, options: bytes, said: Any, hidden: bool
):
    body = b'{"model":"gpt-5","stream":true' + options + b',"messages":[{"role":"user","content":"\\u0041"}]}'
    posted = posting(vendor(cloud), native("chat", body, "gpt-5"))
    assert (json.loads(posted.body)["stream_options"], posted.hide_usage) == (said, hidden)
    assert b'[{"role":"user","content":"\\u0041"}]' in posted.body
    assert (posted.body == body) is not hidden
    events = sent(posted).text.split("\n\n")
    assert json.loads(events[-3].removeprefix("data: "))["usage"]["total_tokens"] > 0


def test_legacy_completions_are_counted_the_same(cloud: OpenAiVendor):
    body = b'{"model":"gpt-3.5-turbo-instruct","stream":true,"prompt":"Hello"}'
    posted = posting(vendor(cloud), native("completions", body, "gpt-3.5-turbo-instruct", max_tokens=5))
    assert json.loads(posted.body)["max_tokens"] == 5 and posted.hide_usage
    *_, counted, _, _ = sent(posted).text.split("\n\n")
    usage = CompletionSurface().usage(counted.removeprefix("data: ").encode())
    assert usage is not None and usage.completion_tokens > 0


@pytest.mark.parametrize(
    ("surface", "body", "field", "bound"),
    [
        ("chat", b'{"model":"m","messages":[{"role":"user","content":"x"}]}', "max_completion_tokens", 9),
        ("responses", b'{"model":"m","input":"x"}', "max_output_tokens", 16),
    ],
)
def test_an_alias_and_a_bound_are_put_into_the_body(
    cloud: OpenAiVendor, surface: Surface, body: bytes, field: str, bound: int
):
    posted = posting(vendor(cloud), native(surface, body, "gpt-5", max_tokens=9))
    assert json.loads(posted.body) == json.loads(body) | {"model": "gpt-5", field: bound}
    assert sent(posted).status_code == 200


def test_whoever_asks_for_an_alias_need_not_know_how_the_model_behind_it_is_bounded(cloud: OpenAiVendor):
    body = b'{"model":"fast","max_tokens":50,"messages":[{"role":"user","content":"x"}]}'
    posted = posting(vendor(cloud), native("chat", body, "gpt-5"))
    asked = {k: v for k, v in json.loads(body).items() if k != "max_tokens"}
    assert json.loads(posted.body) == asked | {"model": "gpt-5", "max_completion_tokens": 50}
    assert sent(posted).status_code == 200
    own = body.replace(b"fast", b"gpt-5")
    assert posting(vendor(cloud), native("chat", own, "gpt-5")).body == own


def test_embeddings_go_as_they_are(cloud: OpenAiVendor):
    body = b'{"model": "text-embedding-3-small", "input": ["a", "b"]}'
    posted = posting(vendor(cloud), native("embeddings", body, "text-embedding-3-small"))
    assert posted.body == body and posted.reader is None and len(sent(posted).json()["data"]) == 2


def test_a_recording_goes_in_the_form_it_came_in(cloud: OpenAiVendor):
    made = httpx.Request(
        "POST", cloud.url, data={"model": "gpt-4o-transcribe"}, files={"file": ("a.wav", b"12345")}
    )
    kind = made.headers["content-type"].encode()
    question = Question(
        "transcriptions", "gpt-4o-transcribe", False, made.read(), {}, None, ((b"content-type", kind),)
    )
    posted = posting(vendor(cloud), question)
    assert posted.body == question.body and sent(posted).json()["text"] == "5 bytes"


def test_native_responses_are_read_beside_what_is_forwarded(cloud: OpenAiVendor):
    cloud.script(reasoning="hm", cache_read=2)
    bodies = (b'{"model":"gpt-5","input":"x"}', b'{"model":"gpt-5","input":"x","stream":true}')
    used: list[Any] = []
    for body in bodies:
        posted = posting(vendor(cloud), native("responses", body, "gpt-5"))
        assert posted.body == body
        used.append(fold(deltas(posted, sent(posted))).usage)
    assert used[0] == used[1] and used[0].cached_tokens == 2


def test_nothing_is_asked_that_would_be_answered_when_nobody_listens(cloud: OpenAiVendor):
    with pytest.raises(BadRequest, match="background"):
        posting(
            vendor(cloud), native("responses", b'{"model":"gpt-5","input":"x","background":true}', "gpt-5")
        )
    raw: Any = {"model": "m", "prompt": "Once", "raw": True}
    with pytest.raises(BadRequest, match="raw"):
        posting(vendor(cloud), translated("ollama", OllamaGenerateSurface(), raw, "gpt-5"))


@pytest.mark.parametrize(
    ("question", "status", "kind"),
    [
        (native("chat", b'{"model":"m","messages":[]}', "gpt-5"), 400, BadRequest),
        (native("chat", CHAT, "gpt-none"), 404, UnknownModel),
        (
            native("responses", LOST, "o3"),
            404,
            BadRequest,
        ),
        (
            native(
                "chat",
                b'{"model":"m","messages":[{"role":"user","content":"' + LONG + b'"}]}',
                "o3",
            ),
            400,
            ContextTooLong,
        ),
        (native("responses", b'{"model":"m","input":"' + LONG + b'"}', "o3"), 400, ContextTooLong),
    ],
    ids=["wrong", "unknown model", "lost item", "long chat", "long response"],
)
def test_its_refusals_are_told_for_what_they_are(
    cloud: OpenAiVendor, question: Question, status: int, kind: type[FlockError]
):
    answer = sent(posting(vendor(cloud), question))
    error = vendor(cloud).refusal(answer.status_code, answer.content, None)
    assert answer.status_code == status and type(error) is kind
    if isinstance(error, ContextTooLong) and question.surface == "chat":
        assert error.maximum == 200_000 and error.tokens > error.maximum


def test_what_is_wrong_with_the_leaders_account_is_not_the_clients_fault(cloud: OpenAiVendor):
    wrong = OpenAI("sk-wrong-0123", cloud.url)
    answer = sent(posting(wrong, native("chat", CHAT, "gpt-5")))
    error = wrong.refusal(answer.status_code, answer.content, None)
    assert answer.status_code == 401 and isinstance(error, EngineUnreachable)
    assert (
        "0123"
        not in f"{error.message} {error.hint} {wrong!r} {posting(wrong, native('chat', CHAT, 'gpt-5'))!r}"
    )
    spent = {
        "message": "You exceeded your current quota",
        "type": "insufficient_quota",
        "code": "insufficient_quota",
    }
    error = wrong.refusal(429, json.dumps({"error": spent}).encode(), None)
    assert isinstance(error, EngineUnreachable) and "billing" in str(error.hint)


@pytest.mark.parametrize(
    ("status", "body", "retry_after", "kind", "wait"),
    [
        (
            429,
            b'{"error":{"message":"Rate limit","type":"tokens","code":"rate_limit_exceeded"}}',
            7,
            Overloaded,
            7,
        ),
        (503, b'{"error":{"message":"Slow down","type":"service_unavailable_error"}}', 90, Overloaded, 30),
        (500, b'{"error":"broken"}', None, EngineDied, 1),
        (502, b"<html>", None, EngineDied, 1),
        (
            403,
            b'{"error":{"message":"Country not supported","code":"unsupported_country"}}',
            None,
            LeaderRefused,
            1,
        ),
    ],
)
def test_what_may_pass_can_be_tried_again(
    status: int, body: bytes, retry_after: int | None, kind: type[FlockError], wait: int | None
):
    error = OpenAI(KEY).refusal(status, body, retry_after)
    assert (type(error), error.retry_after) == (kind, wait)


def test_where_the_api_stands_is_said_with_or_without_its_version():
    urls = {
        posting(OpenAI(KEY, url), native("chat", CHAT, "gpt-5")).url
        for url in ("https://a/", "https://a/v1/")
    }
    assert urls == {"https://a/v1/chat/completions"}
