"""How Anthropic is asked: in its own protocol byte for byte, in others by translation."""

from typing import Any

import msgspec
import pytest

from controlplane.egress.anthropic import Anthropic
from controlplane.egress.base import Posting, Question
from controlplane.protocols.base import read_fields
from controlplane.protocols.ir import Request, TextPart, User
from flockpy.errors import BadRequest, ContextTooLong, EngineUnreachable, FlockError, Overloaded, UnknownModel

VENDOR = Anthropic("sk-ant-secret", "https://api.example/")
BODY = (
    b'{"model": "claude-x",  "max_tokens": 9, "future": [1], "messages": [{"role": "user", "content": "hi"}]}'
)


async def native(body: bytes = BODY, model: str = "claude-x", *headers: tuple[bytes, bytes]) -> Posting:
    question = Question("messages", model, False, body, read_fields(body), None, headers)
    return await VENDOR.posting(question)


async def test_a_request_in_its_own_protocol_is_not_touched():
    posting = await native()
    assert posting.url == "https://api.example/v1/messages"
    assert posting.body is BODY


async def test_an_alias_is_replaced_by_the_models_own_name_and_the_rest_stays():
    posting = await native(model="claude-y")
    assert msgspec.json.decode(posting.body) == {**msgspec.json.decode(BODY), "model": "claude-y"}


async def test_its_headers_pass_and_the_key_is_the_leaders():
    betas = ((b"anthropic-beta", b"a,b"), (b"anthropic-version", b"2099-01-01"), (b"user-agent", b"me"))
    posting = await native(BODY, "claude-x", *betas)
    assert posting.headers == (
        (b"x-api-key", b"sk-ant-secret"),
        (b"content-type", b"application/json"),
        (b"anthropic-beta", b"a,b"),
        (b"anthropic-version", b"2099-01-01"),
    )
    assert (b"anthropic-version", b"2023-06-01") in (await native()).headers


async def test_the_key_is_in_no_representation():
    assert "secret" not in repr(VENDOR) + repr(await native())


async def test_another_protocol_is_translated():
    request = Request("claude-x", (User((TextPart("hi"),)),), max_tokens=5)
    question = Question("chat", "claude-haiku-5-5", True, b"", {}, request, ())
    body: dict[str, Any] = msgspec.json.decode((await VENDOR.posting(question)).body)
    assert (body["model"], body["stream"], body["max_tokens"]) == ("claude-haiku-5-5", True, 5)


@pytest.mark.parametrize(
    ("surface", "manner"),
    [
        ("messages", "native"),
        ("chat", "translated"),
        ("responses", "translated"),
        ("ollama", "translated"),
        ("embeddings", None),
        ("completions", None),
        ("rerank", None),
        ("transcriptions", None),
    ],
)
def test_each_surface_reaches_it_in_its_manner(surface: Any, manner: str | None):
    assert VENDOR.manner(surface, "claude-x") == manner


@pytest.mark.parametrize(
    ("name", "claimed"),
    [("claude-x", True), ("claude-sonnet-4@20250929", False), ("gpt-5", False), ("my-claude-x", False)],
)
def test_it_claims_its_own_names(name: str, claimed: bool):
    assert VENDOR.claims(name) is claimed


def told(kind: str, message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, told("invalid_request_error", "messages: no"), BadRequest),
        (400, told("invalid_request_error", "prompt is too long: 9 tokens > 5 maximum"), ContextTooLong),
        (401, told("authentication_error", "invalid x-api-key"), EngineUnreachable),
        (403, told("permission_error", "not for you"), EngineUnreachable),
        (404, told("not_found_error", "model: claude-x"), UnknownModel),
        (429, told("rate_limit_error", "slow down"), Overloaded),
        (529, told("overloaded_error", "Overloaded"), Overloaded),
        (502, b"<html>", FlockError),
        (500, b"\xff", FlockError),
    ],
)
def test_an_error_answer_means_this(status: int, body: bytes, kind: type[FlockError]):
    error = VENDOR.refusal(status, body, None)
    assert isinstance(error, kind)
    assert "secret" not in error.message


def test_what_is_wrong_with_the_leaders_key_is_not_told_as_the_clients():
    error = VENDOR.refusal(401, told("authentication_error", "invalid x-api-key sk-ant-sec"), None)
    assert "x-api-key" not in error.message
    assert error.status == 503


@pytest.mark.parametrize(("asked", "seconds"), [(None, 1), (0, 1), (12, 12), (900, 30)])
def test_the_wait_is_one_that_clients_bear(asked: int | None, seconds: int):
    assert VENDOR.refusal(429, b"", asked).retry_after == seconds
