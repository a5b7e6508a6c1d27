"""Anthropic's own API: the Messages protocol, forwarded as it comes or made from another."""

from typing import Final

import msgspec

from controlplane.egress.base import CHATS, NO_FIELDS, Headers, Manner, Posting, Question
from controlplane.egress.verdict import verdict
from controlplane.protocols import anthropic_dialect
from controlplane.protocols.anthropic_decoder import MessagesDecoder
from controlplane.protocols.base import UNREADABLE, Fields, rewrite
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import FlockError

VERSION: Final = b"2023-06-01"


class _Error(msgspec.Struct, frozen=True):
    message: str = ""


class _Refusal(msgspec.Struct):
    error: _Error = _Error()


_REFUSAL: Final = msgspec.json.Decoder(_Refusal)


class Anthropic:
    """See `Vendor`. `url` is the API's address without ``/v1``."""

    name = "anthropic"

    def __init__(self, key: str, url: str) -> None:
        self._key = key.encode()
        self._url = url.rstrip("/")

    def claims(self, model: str) -> bool:
        return model.startswith("claude-") and "@" not in model

    def manner(self, surface: SurfaceName, model: str, fields: Fields = NO_FIELDS) -> Manner | None:
        if surface == "messages":
            return "native"
        return "translated" if surface in CHATS else None

    async def posting(self, question: Question) -> Posting:
        return self._posting("/v1/messages", question)

    async def counting(self, question: Question) -> Posting | None:
        return self._posting("/v1/messages/count_tokens", question)

    def _posting(self, path: str, question: Question) -> Posting:
        if question.request is not None:
            body = anthropic_dialect.render_request(
                question.request, model=question.model, stream=question.stream
            )
        else:
            body = question.body
            if msgspec.json.decode(question.fields.get("model", b"null")) != question.model:
                body = rewrite(question.fields, {"model": question.model})
        return Posting(self._url + path, self._headers(question.headers), body, MessagesDecoder)

    def _headers(self, asked: Headers) -> Headers:
        theirs = tuple(header for header in asked if header[0].startswith(b"anthropic-"))
        version = () if any(name == b"anthropic-version" for name, _ in theirs) else (VERSION,)
        return (
            (b"x-api-key", self._key),
            (b"content-type", b"application/json"),
            *((b"anthropic-version", value) for value in version),
            *theirs,
        )

    def refusal(self, status: int, body: bytes, retry_after: int | None) -> FlockError:
        return verdict("Anthropic", status, _said(body), retry_after)


def _said(body: bytes) -> str:
    try:
        return _REFUSAL.decode(body).error.message
    except UNREADABLE:
        return ""
