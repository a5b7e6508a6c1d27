"""AWS Bedrock: many vendors' models in one region of AWS.

Anthropic's models are asked through InvokeModel, whose body is the Messages protocol but for its envelope: that
protocol reaches them as it is, and the others through it, for every one of these models is served there (not every one
by Converse) and in one dialect with the vendor itself. All other families are asked through Converse.
"""

import logging
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final
from urllib.parse import quote

import msgspec

from controlplane.egress.aws import Credentials
from controlplane.egress.aws_streams import ConverseUnframe, MessagesUnframe
from controlplane.egress.base import CHATS, NO_FIELDS, Headers, Manner, Posting, Question, Unframe
from controlplane.egress.claude import betas, messages_fields
from controlplane.egress.verdict import OWNER, verdict
from controlplane.protocols import converse_dialect
from controlplane.protocols.anthropic_decoder import MessagesDecoder
from controlplane.protocols.base import UNREADABLE, Fields, rewrite
from controlplane.protocols.converse_decoder import ConverseDecoder
from controlplane.protocols.ir import Reader, Request
from controlplane.protocols.media import refuse_remote
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, FlockError, LeaderRefused
from flockpy.vendors import REGION_GROUPS

log = logging.getLogger(__name__)

_PROVIDERS: Final = (
    "ai21|amazon|anthropic|cohere|deepseek|google|luma|meta|minimax|mistral|moonshot|moonshotai|nvidia|openai|qwen"
    "|stability|twelvelabs|writer|zai"
)
_MODEL: Final = re.compile(
    rf"(?:(?:{REGION_GROUPS})\.)?(?:{_PROVIDERS})\.[A-Za-z0-9][A-Za-z0-9._:-]{{0,120}}"
)
_ANTHROPIC: Final = re.compile(r"(?:[a-z-]+\.)?anthropic\.")
_SILENT: Final = re.compile(
    r"(?:^|\.)(?:luma|stability|twelvelabs)\."
    r"|embed|rerank|nova-(?:canvas|reel|sonic|2-sonic|2-multimodal)|titan-image"
)
"""Models that hold no conversation."""
_VERSION: Final = "bedrock-2023-05-31"
_EAGER: Final = "fine-grained-tool-streaming-2025-05-14"
_BETAS: Final[Mapping[str, str]] = {
    name: name
    for name in (
        "compact-2026-01-12",
        "computer-use-2024-10-22",
        "computer-use-2025-01-24",
        "computer-use-2025-11-24",
        "context-1m-2025-08-07",
        "context-management-2025-06-27",
        "dev-full-thinking-2025-05-14",
        "effort-2025-11-24",
        _EAGER,
        "interleaved-thinking-2025-05-14",
        "mid-conversation-output-config-2026-07-01",
        "mid-conversation-tool-changes-2026-07-01",
        "output-128k-2025-02-19",
        "token-efficient-tools-2025-02-19",
        "tool-examples-2025-10-29",
        "tool-search-tool-2025-10-19",
    )
} | {"advanced-tool-use-2025-11-20": "tool-search-tool-2025-10-19"}
"""What is called what there. A request with any other of the vendor's is refused whole, so that others stay away."""
_UNKNOWN: Final = re.compile(r"model identifier is invalid", re.IGNORECASE)
_JSON: Final = b"application/json"


class _Error(msgspec.Struct):
    message: str | None = None
    Message: str | None = None


_ERROR: Final = msgspec.json.Decoder(_Error)


class Bedrock:
    """`base_url` stands in for the region's address."""

    name = "bedrock"

    def __init__(self, region: str, credentials: Credentials, *, base_url: str = "") -> None:
        self._region = region
        self._credentials = credentials
        self._base = (base_url or f"https://bedrock-runtime.{region}.amazonaws.com").rstrip("/")

    def claims(self, model: str) -> bool:
        return _MODEL.fullmatch(model) is not None

    def manner(self, surface: SurfaceName, model: str, fields: Fields = NO_FIELDS) -> Manner | None:
        if surface not in CHATS or _SILENT.search(model):
            return None
        return "native" if surface == "messages" and _ANTHROPIC.match(model) else "translated"

    async def posting(self, question: Question) -> Posting:
        model, stream, left_out = question.model, question.stream, ()
        if not self.claims(model):  # it becomes a part of the address
            raise BadRequest(f"{model[:100]!r} is no id of a model of Bedrock's", field="model")
        if _ANTHROPIC.match(model):
            operation = "invoke-with-response-stream" if stream else "invoke"
            body, left_out = _messages(question)
            reader: Callable[[], Reader] = MessagesDecoder
            unframe: Callable[[], Unframe] = MessagesUnframe
        else:
            operation = "converse-stream" if stream else "converse"
            request = _checked(question.request)
            body = converse_dialect.render_request(request, model=model)
            reader = partial(ConverseDecoder, converse_dialect.told_names(request))
            unframe = ConverseUnframe
        url = f"{self._base}/model/{quote(model, safe=':')}/{operation}"
        accept = b"application/vnd.amazon.eventstream" if stream else _JSON
        headers: Headers = ((b"content-type", _JSON), (b"accept", accept))
        headers = await self._credentials.signed(url, self._region, headers, body)
        return Posting(url, headers, body, reader, unframe if stream else None, left_out=left_out)

    async def counting(self, question: Question) -> Posting | None:
        return None

    def refusal(self, status: int, body: bytes, retry_after: int | None) -> FlockError:
        try:
            error = _ERROR.decode(body)
        except UNREADABLE:
            error = _Error()
        message = error.message or error.Message or ""
        if status in (401, 403):
            # The first line: what follows may be the request as it was signed, with a session's token.
            log.warning("Bedrock refuses the leader: %s", message.partition("\n")[0][:300])
            return LeaderRefused(
                "Bedrock does not let the leader use this model, or does not accept its credentials",
                hint=f"{OWNER}its log says why; check its AWS credentials and what they may use",
            )
        if status == 424:  # the model failed, not the request
            status = 502
        elif status == 400 and _UNKNOWN.search(message):
            status = 404
        return verdict("Bedrock", status, message, retry_after)


def _checked(request: Request | None) -> Request:
    """Raises BadRequest for what no chat can answer, and for what would have to be fetched."""
    if request is None or request.raw:
        raise BadRequest("Bedrock answers conversations, not bare prompts", field="raw")
    refuse_remote(request)
    return request


def _messages(question: Question) -> tuple[bytes, tuple[str, ...]]:
    """The body of InvokeModel: the vendor's own, but for whether it streams, and with what its headers say
    elsewhere. And what is left out of it."""
    if question.request is not None:
        _checked(question.request)
    told = messages_fields(question, question.model)
    told.fields.pop("stream", None)
    changes: dict[str, object] = {"anthropic_version": _VERSION}
    flags = betas(question.headers, _BETAS)
    if told.eager and _EAGER not in flags:
        flags.append(_EAGER)
    if flags:
        changes["anthropic_beta"] = flags
    return rewrite(told.fields, changes), told.left_out
