"""Google Vertex AI: Gemini by generateContent, and Anthropic's models, whose protocol is that of the vendor itself."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

import msgspec

from controlplane.egress.base import CHATS, NO_FIELDS, Headers, Manner, Posting, Question
from controlplane.egress.claude import betas, messages_fields
from controlplane.egress.google import TokenSource
from controlplane.egress.verdict import OWNER, verdict
from controlplane.protocols import gemini_dialect
from controlplane.protocols.anthropic_clouds import portable
from controlplane.protocols.anthropic_decoder import MessagesDecoder
from controlplane.protocols.anthropic_instructions import told_by_the_user
from controlplane.protocols.base import UNREADABLE, Fields, rewrite
from controlplane.protocols.gemini_decoder import GeminiDecoder
from controlplane.protocols.ir import Reader
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, FlockError, LeaderRefused, StartError

_NAME: Final = "Google Vertex AI"
_MODEL: Final = re.compile(r"(?:gemini|claude)-[a-z0-9][a-z0-9.-]{0,99}(?:@[a-z0-9-]{1,20})?")
"""All that may come into an address from a client."""
_EMBEDDING: Final = re.compile(r"-embedding\b")
_DATED: Final = re.compile(r"-(\d{8})$")
_PROJECT: Final = re.compile(r"(?:[a-z0-9.-]+:)?[a-z0-9-]+")
_LOCATION: Final = re.compile(r"[a-z0-9-]+")
_MULTI_REGIONS: Final = frozenset({"us", "eu"})
_VERSION: Final = "vertex-2023-10-16"
"""What Anthropic's version 2023-06-01 is called there; later ones have their own names."""
_LATER: Final = re.compile(rb"202[4-9]-\d{2}-\d{2}")
_BETAS: Final = {
    name: name
    for name in (
        "compact-2026-01-12",
        "compact-2026-09-04",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "interleaved-thinking-2025-05-14",
        "tool-search-tool-2025-10-19",
        "web-search-2025-03-05",
    )
} | {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
"""Betas that are offered there, by the names that clients of Anthropic itself send."""


class _Detail(msgspec.Struct, rename="camel"):
    retry_delay: str = ""


class _Said(msgspec.Struct):
    message: str = ""
    details: list[_Detail] = []


class _Refusal(msgspec.Struct):
    """Google's error, or Anthropic's."""

    error: _Said = msgspec.field(default_factory=_Said)


_REFUSALS: Final = msgspec.json.Decoder[_Refusal | list[_Refusal]](_Refusal | list[_Refusal])
_SECONDS: Final = re.compile(r"(\d{1,9})(?:\.\d+)?s")


class Vertex:
    """The models of one project in one location (a region, ``us``, ``eu`` or ``global``).

    `base_url` stands in the place of Google's own address. Raises StartError for a project or a location that is none.
    """

    def __init__(self, project: str, location: str, tokens: TokenSource, *, base_url: str = "") -> None:
        if not _PROJECT.fullmatch(project):
            raise StartError(
                f"router.fallback.vertex_project: {project!r} is no id of a project",
                hint="router.fallback.vertex_project: my-project-123",
            )
        if not _LOCATION.fullmatch(location):
            raise StartError(
                f"router.fallback.vertex_location: {location!r} is no location",
                hint="router.fallback.vertex_location: us-central1, or us, eu or global",
            )
        self._project = project
        self._base = base_url.rstrip("/") or _base(location)
        self._within = f"projects/{quote(project, safe=':')}/locations/{location}/publishers"
        self._tokens = tokens

    @property
    def name(self) -> str:
        return "vertex"

    def claims(self, model: str) -> bool:
        return _MODEL.fullmatch(model) is not None

    def manner(self, surface: SurfaceName, model: str, fields: Fields = NO_FIELDS) -> Manner | None:
        if surface not in CHATS or not self.claims(model) or _EMBEDDING.search(model):
            return None
        return "native" if surface == "messages" and model.startswith("claude-") else "translated"

    async def posting(self, question: Question) -> Posting:
        if not self.claims(question.model):
            raise BadRequest(f"model: {question.model[:100]!r} is no name of a model there", field="model")
        # The versions of the API are those that the vendors' own clients use.
        if question.model.startswith("claude-"):
            path, body, left_out = _claude(question)
            posting = await self._posting("v1", path, body, MessagesDecoder, _betas(question.headers))
            return msgspec.structs.replace(posting, left_out=left_out)
        path, body = _gemini(question)
        return await self._posting("v1beta1", path, body, GeminiDecoder)

    async def counting(self, question: Question) -> Posting | None:
        """Anthropic's models count what they are asked in their own protocol."""
        if not (self.claims(question.model) and question.model.startswith("claude-") and question.fields):
            return None
        changes = {"model": _dated(question.model), "anthropic_version": _version(question.headers)}
        body = rewrite(portable(told_by_the_user(question.fields)).fields, changes)
        path = "anthropic/models/count-tokens:rawPredict"
        return await self._posting("v1", path, body, MessagesDecoder, _betas(question.headers))

    async def _posting(
        self, version: str, path: str, body: bytes, reader: Callable[[], Reader], more: Headers = ()
    ) -> Posting:
        token = await self._tokens.token()
        headers = (
            (b"authorization", b"Bearer " + token.encode()),
            (b"content-type", b"application/json"),
            *more,
        )
        return Posting(f"{self._base}/{version}/{self._within}/{path}", headers, body, reader)

    def refusal(self, status: int, body: bytes, retry_after: int | None) -> FlockError:
        said = _read(body)
        if status == 401:
            self._tokens.forget()
        if status == 403:
            # What the leader's account may not do is not the client's mistake, nor its business.
            return LeaderRefused(
                f"{_NAME} does not let the leader's account use this model",
                hint=f"{OWNER}enable aiplatform.googleapis.com in the project, enable the model in "
                "its Model Garden, and give the account roles/aiplatform.user",
                why="vendor_account",
            )
        wait = retry_after if retry_after is not None else _wait(said)
        return verdict(_NAME, status, said.message.replace(self._project, "…"), wait)


def _base(location: str) -> str:
    if location == "global":
        return "https://aiplatform.googleapis.com"
    if location in _MULTI_REGIONS:
        return f"https://aiplatform.{location}.rep.googleapis.com"
    return f"https://{location}-aiplatform.googleapis.com"


def _gemini(question: Question) -> tuple[str, bytes]:
    method = "streamGenerateContent?alt=sse" if question.stream else "generateContent"
    if question.request is None:
        raise BadRequest("the request cannot be put in the vendor's protocol")
    body = gemini_dialect.render_request(question.request, model=question.model)
    return f"google/models/{quote(question.model)}:{method}", body


def _claude(question: Question) -> tuple[str, bytes, tuple[str, ...]]:
    """Where it is asked, how, and what is left out of that."""
    model = _dated(question.model)
    method = "streamRawPredict" if question.stream else "rawPredict"
    told = messages_fields(question, model)
    body = rewrite(told.fields, {"anthropic_version": _version(question.headers)})
    return f"anthropic/models/{quote(model, safe='@')}:{method}", body, told.left_out


def _dated(model: str) -> str:
    """Names have an @ before their date there, where Anthropic's own have a hyphen."""
    return _DATED.sub(r"@\1", model)


def _version(headers: Headers) -> str:
    asked = next((value for name, value in headers if name == b"anthropic-version"), b"")
    return asked.decode() if _LATER.fullmatch(asked) else _VERSION


def _betas(headers: Headers) -> Headers:
    named = ",".join(betas(headers, _BETAS))
    return ((b"anthropic-beta", named.encode()),) if named else ()


def _read(body: bytes) -> _Said:
    try:
        decoded = _REFUSALS.decode(body)
    except UNREADABLE:
        return _Said(body[:2000].decode(errors="replace"))
    if isinstance(decoded, _Refusal):
        return decoded.error
    return decoded[0].error if decoded else _Said()


def _wait(said: _Said) -> int | None:
    found = (_SECONDS.fullmatch(detail.retry_delay) for detail in said.details)
    return next((int(match[1]) for match in found if match), None)
