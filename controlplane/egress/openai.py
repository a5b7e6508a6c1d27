"""OpenAI: its own protocols as they are, all others through POST /v1/responses, which serves every model it has."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from controlplane.egress.base import NO_FIELDS, Headers, Manner, Posting, Question
from controlplane.egress.openai_chat import refused_as_it_is
from controlplane.egress.verdict import OWNER, verdict
from controlplane.protocols.base import Fields, decode, rewrite
from controlplane.protocols.ir import Reader, Request
from controlplane.protocols.responses_decoder import ResponsesDecoder
from controlplane.protocols.responses_dialect import LEAST_OUTPUT, render_request, sent_name
from controlplane.protocols.stop_sequences import StopSequences
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, ContextTooLong, FlockError, LeaderRefused

URL: Final = "https://api.openai.com"
_CLAIMED: Final = re.compile(r"gpt-(?!oss)|o[134](?![a-z0-9])|chatgpt-|codex-|text-embedding-|whisper-1$")
_ONLY_RESPONSES: Final = re.compile(r"codex-|(?:gpt-|o\d)\S*(?<=-)(?:codex|pro|deep-research)(?![a-z])")
"""Models that no chat reaches."""
_PATHS: Final[dict[SurfaceName, str]] = {
    "chat": "/v1/chat/completions",
    "completions": "/v1/completions",
    "embeddings": "/v1/embeddings",
    "responses": "/v1/responses",
    "transcriptions": "/v1/audio/transcriptions",
}
_BOUNDS: Final[dict[SurfaceName, str]] = {
    "chat": "max_completion_tokens",
    "completions": "max_tokens",
    "responses": "max_output_tokens",
}
_PASSED: Final = frozenset({b"openai-beta"})
"""Of a client's headers; what names an organization or a project would choose who pays."""
_SPENT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_COUNTED: Final = re.compile(r"maximum context length is (\d{1,18}) tokens.*?(\d{1,18}) tokens", re.DOTALL)
_JSON: Final = (b"content-type", b"application/json")
_MODEL: Final = msgspec.json.Decoder(str)
_OPTIONS: Final[msgspec.json.Decoder[Fields | None]] = msgspec.json.Decoder(Fields | None)


class _Error(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None


class _Refusal(msgspec.Struct):
    error: _Error | str | None = None


_REFUSAL: Final = msgspec.json.Decoder(_Refusal)


class OpenAI:
    """See `base.Vendor`. `url` is where its API stands, with or without ``/v1``."""

    name = "openai"

    def __init__(self, key: str, url: str = URL) -> None:
        self._key = key
        self._url = url.rstrip("/").removesuffix("/v1")

    def claims(self, model: str) -> bool:
        return _CLAIMED.match(model) is not None

    def manner(self, surface: SurfaceName, model: str, fields: Fields = NO_FIELDS) -> Manner | None:
        kind = _kind(model)
        if kind != "chat" or surface in ("embeddings", "transcriptions", "rerank"):
            return "native" if surface == kind else None
        if surface in ("messages", "ollama"):
            return "translated"
        elsewhere = surface == "chat" and (_ONLY_RESPONSES.match(model) or refused_as_it_is(model, fields))
        return "translated" if elsewhere else "native"

    async def posting(self, question: Question) -> Posting:
        if question.request is not None:
            return self._translated(question, question.request)
        surface, fields, hidden = question.surface, question.fields, False
        changes = _changes(question) if fields else {}
        if surface == "chat" and "model" in changes and "max_completion_tokens" not in fields | changes:
            fields, changes = _bounded_anew(fields, changes)
        if question.stream and surface in ("chat", "completions"):
            options = decode(_OPTIONS, fields.get("stream_options", b"null"), "stream_options") or {}
            hidden = bytes(options.get("include_usage", b"null")) != b"true"
            if hidden:
                changes["stream_options"] = {**options, "include_usage": True}
        body = rewrite(fields, changes) if changes else question.body
        reader = ResponsesDecoder if surface == "responses" else None
        return self._to(_PATHS[surface], question.headers, body, reader, hide_usage=hidden)

    async def counting(self, question: Question) -> Posting | None:
        return None

    def refusal(self, status: int, body: bytes, retry_after: int | None) -> FlockError:
        error = _said(body)
        message, code = error.message or "", str(error.code or error.type or "")
        if code in _SPENT:
            return LeaderRefused(
                "openai: the leader's account has nothing left to spend",
                hint=f"{OWNER}check the plan and billing of its openai account",
                why="vendor_account",
            )
        if (
            status == 404 and message and "model" not in message
        ):  # an item, a response or a file that is not there
            status = 400
        told = verdict(self.name, status, message, retry_after)
        if code == "context_length_exceeded" or isinstance(told, ContextTooLong):
            counted = _COUNTED.search(message)
            maximum, tokens = (int(counted[1]), int(counted[2])) if counted else (0, 0)
            return ContextTooLong(told.message, field="messages", tokens=tokens, maximum=maximum)
        return told

    def __repr__(self) -> str:
        return f"OpenAI({self._url})"

    def _translated(self, question: Question, request: Request) -> Posting:
        if request.raw:
            raise BadRequest("raw: openai takes no prompts but within its own template", field="raw")
        names = {sent: tool.name for tool in request.tools if (sent := sent_name(tool.name)) != tool.name}
        body = render_request(request, model=question.model, stream=question.stream)
        return self._to(
            _PATHS["responses"], (), body, lambda: StopSequences(ResponsesDecoder(names), request.stop)
        )

    def _to(
        self,
        path: str,
        headers: Headers,
        body: bytes,
        reader: Callable[[], Reader] | None,
        *,
        hide_usage: bool = False,
    ) -> Posting:
        form = (b"content-type",) if path == _PATHS["transcriptions"] else ()
        passed = tuple((name, value) for name, value in headers if name in _PASSED or name in form)
        own = () if form else (_JSON,)
        authorization = (b"authorization", b"Bearer " + self._key.encode())
        return Posting(self._url + path, (authorization, *own, *passed), body, reader, hide_usage=hide_usage)


def _kind(model: str) -> SurfaceName:
    """What a model is for: ``chat`` is all that answers in words."""
    if model.startswith("text-embedding-"):
        return "embeddings"
    return "transcriptions" if "-transcribe" in model or model.startswith("whisper-") else "chat"


def _changes(question: Question) -> dict[str, Any]:
    """What a client's own body must say otherwise. Raises BadRequest for what would be answered when nobody listens."""
    fields, changes = question.fields, dict[str, Any]()
    if bytes(fields.get("background", b"null")) == b"true":
        raise BadRequest(
            "background: this server answers only while the client waits",
            field="background",
            hint="leave it out, and stream",
        )
    if decode(_MODEL, fields.get("model", b'""'), "model") != question.model:
        changes["model"] = question.model
    bound = _BOUNDS.get(question.surface)
    if bound and question.max_tokens is not None:
        least = LEAST_OUTPUT if question.surface == "responses" else 1
        changes[bound] = max(question.max_tokens, least)
    return changes


def _bounded_anew(fields: Fields, changes: dict[str, Any]) -> tuple[Fields, dict[str, Any]]:
    """A chat that names another model, whose bound is in the field that every model here takes: whoever asks for an
    alias does not know whose model it gets."""
    if bytes(fields.get("max_tokens", b"null")) == b"null":
        return fields, changes
    kept = {name: value for name, value in fields.items() if name != "max_tokens"}
    return kept, {**changes, "max_completion_tokens": fields["max_tokens"]}


def _said(body: bytes) -> _Error:
    try:
        error = _REFUSAL.decode(body.decode(errors="replace")).error
    except (msgspec.DecodeError, RecursionError):
        return _Error()
    return _Error(error) if isinstance(error, str) else error or _Error()
