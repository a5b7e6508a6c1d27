"""Which models are Bedrock's, what is posted for them, and what its refusals mean."""

import json
import logging
from typing import Any

import pytest

from controlplane.egress.base import Headers, Manner, Posting, Question, Vendor
from controlplane.egress.bedrock import Bedrock
from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.anthropic_decoder import MessagesDecoder
from controlplane.protocols.base import read_fields
from controlplane.protocols.converse_decoder import ConverseDecoder
from controlplane.protocols.ir import ImagePart, Request, TextPart, User
from controlplane.tenants.model import Surface
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineDied,
    FlockError,
    LeaderRefused,
    Overloaded,
    UnknownModel,
)
from tests.simulators.bedrock_rules import MODELS, converse_complaints, messages_complaints

CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "amazon.nova-lite-v1:0"
HI = Request("m", (User((TextPart("hi"),)),))
NATIVE = (
    b'{"model": "x", "max_tokens": 9, "stream": true, "messages": [{"role": "user", "content": "h\\u00ef"}]}'
)


class Unsigned:
    async def signed(self, url: str, region: str, headers: Headers, body: bytes) -> Headers:
        return (*headers, (b"authorization", f"for {region}".encode()))


VENDOR: Vendor = Bedrock("eu-west-1", Unsigned())


async def posted(
    model: str = NOVA,
    *,
    surface: Surface = "chat",
    stream: bool = False,
    request: Request | None = HI,
    body: bytes = b"",
    headers: Headers = (),
    max_tokens: int | None = None,
) -> tuple[Posting, dict[str, Any]]:
    """What is posted, and its body."""
    fields = read_fields(body) if body else {}
    question = Question(surface, model, stream, body, fields, request, headers, max_tokens)
    posting = await VENDOR.posting(question)
    return posting, json.loads(posting.body)


@pytest.mark.parametrize("model", [*MODELS, "us-gov.anthropic.claude-3-haiku-20240307-v1:0", "zai.glm-4.6"])
def test_ids_of_its_models_are_claimed(model: str):
    assert VENDOR.claims(model)


@pytest.mark.parametrize(
    "model",
    [
        *(
            "claude-sonnet-4-5",
            "gpt-5",
            "llama3",
            "anthropic",
            "anthropic.",
            "mars.anthropic.claude",
            "qwen3.5-4b",
        ),
        *(
            "amazon.nova/../x",
            "amazon.nova?x=1",
            "amazon.nova#",
            "amazon.nova%2e",
            "amazon.nova\n",
            "amazon. nova",
        ),
        *("amazon..", "amazon.nova@evil.example", "amazon.nova\\x", "amazon.növa", "amazon." + "n" * 200),
    ],
)
async def test_other_names_are_neither_claimed_nor_put_into_an_address(model: str):
    assert not VENDOR.claims(model)
    with pytest.raises(BadRequest) as caught:
        await posted(model)
    assert caught.value.field == "model"


@pytest.mark.parametrize(
    ("surface", "model", "manner"),
    [
        ("messages", CLAUDE, "native"),
        ("messages", NOVA, "translated"),
        *((surface, CLAUDE, "translated") for surface in ("chat", "responses", "ollama")),
        *((surface, NOVA, "translated") for surface in ("chat", "responses", "ollama")),
        *((surface, NOVA, None) for surface in ("embeddings", "completions", "rerank", "transcriptions")),
        ("chat", "amazon.titan-embed-text-v2:0", None),
        ("chat", "cohere.rerank-v3-5:0", None),
        ("chat", "us.twelvelabs.pegasus-1-2-v1:0", None),
        ("chat", "amazon.nova-canvas-v1:0", None),
    ],
)
def test_each_surface_reaches_the_models_that_can_serve_it(
    surface: Surface, model: str, manner: Manner | None
):
    assert VENDOR.manner(surface, model) == manner


@pytest.mark.parametrize(
    ("model", "stream", "operation"),
    [
        (CLAUDE, False, "invoke"),
        (CLAUDE, True, "invoke-with-response-stream"),
        (NOVA, False, "converse"),
        (NOVA, True, "converse-stream"),
    ],
)
async def test_a_translated_request_is_posted_in_its_models_dialect(model: str, stream: bool, operation: str):
    posting, body = await posted(model, stream=stream)
    assert posting.url == f"https://bedrock-runtime.eu-west-1.amazonaws.com/model/{model}/{operation}"
    assert (b"authorization", b"for eu-west-1") in posting.headers
    assert (posting.unframe is not None) == stream
    assert posting.reader
    assert isinstance(posting.reader(), MessagesDecoder if model == CLAUDE else ConverseDecoder)
    assert (
        list(messages_complaints(model, body) if model == CLAUDE else converse_complaints(model, body)) == []
    )
    assert "authorization" not in repr(posting)


async def test_a_native_request_keeps_every_value_byte_for_byte():
    headers = ((b"anthropic-beta", b"interleaved-thinking-2025-05-14, prompt-caching-scope-2026-01-05"),)
    more = ((b"anthropic-beta", b"advanced-tool-use-2025-11-20"), (b"anthropic-version", b"2023-06-01"))
    posting, body = await posted(
        CLAUDE, surface="messages", stream=True, request=None, body=NATIVE, headers=headers + more
    )
    assert b'[{"role": "user", "content": "h\\u00ef"}]' in posting.body
    assert set(body) == {"max_tokens", "messages", "anthropic_version", "anthropic_beta"}
    assert body["anthropic_beta"] == ["interleaved-thinking-2025-05-14", "tool-search-tool-2025-10-19"]
    assert list(messages_complaints(CLAUDE, body)) == []
    assert "anthropic-beta" not in {name.decode() for name, _ in posting.headers}


async def test_a_bound_is_put_where_the_client_set_none():
    _, native = await posted(CLAUDE, surface="messages", request=None, body=b'{"messages": []}', max_tokens=7)
    assert native["max_tokens"] == 7
    _, body = await posted(CLAUDE, surface="messages", request=None, body=NATIVE, max_tokens=7)
    assert body["max_tokens"] == 9


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
async def test_what_bedrock_cannot_be_asked_is_refused(model: str):
    with pytest.raises(BadRequest, match="bare prompts"):
        await posted(model, request=Request("m", HI.messages, raw=True))
    elsewhere = Request("m", (User((ImagePart("http://169.254.169.254/a.png"),)),))
    with pytest.raises(BadRequest, match="fetched"):
        await posted(model, request=elsewhere)


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (400, b'{"message": "Input is too long for requested model."}', ContextTooLong, "too long"),
        (400, b'{"message": "prompt is too long: 9 tokens > 8 maximum"}', ContextTooLong, "9 tokens"),
        (400, b'{"message": "The provided model identifier is invalid."}', UnknownModel, "identifier"),
        (400, b'{"message": "m: 1"}', BadRequest, "m: 1"),
        (404, b'{"message": "end of its life"}', UnknownModel, "end of its life"),
        (408, b'{"message": "slow"}', EngineDied, "slow"),
        (424, b'{"message": "model broke"}', EngineDied, "model broke"),
        (429, b'{"message": "Too many requests"}', Overloaded, "Too many requests"),
        (500, b"<html>", EngineDied, "status 500"),
        (503, b'{"Message": "later"}', Overloaded, "later"),
    ],
)
def test_a_refusal_means_the_same_as_anybodys(status: int, body: bytes, error: type[FlockError], says: str):
    refused = VENDOR.refusal(status, body, 3)
    assert type(refused) is error
    assert says in refused.message


@pytest.mark.parametrize("status", [401, 403])
def test_what_is_wrong_with_the_leaders_credentials_is_for_the_leaders_log(
    status: int, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    said = "User: arn:aws:iam::1:user/leader is not authorized\n\nx-amz-security-token:hidden"
    refused = VENDOR.refusal(status, json.dumps({"message": said}).encode(), None)
    assert type(refused) is LeaderRefused
    assert "arn:aws" not in refused.message + str(refused.hint)
    (record,) = caplog.records
    assert record.getMessage().endswith("User: arn:aws:iam::1:user/leader is not authorized")


def test_the_surface_tells_a_throttled_client_to_come_back():
    surface = MessagesSurface()
    refused = VENDOR.refusal(429, b"{}", 5)
    assert (surface.status(refused), refused.retry_after) == (529, 5)
