"""Surfaces whose requests go to engines in another protocol, and one answer of an engine on its way back. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, cast

import msgspec

from controlplane.protocols import chat_dialect, chat_request
from controlplane.protocols.base import Inbound, Plain, Usage, rewrite
from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import (
    Counted,
    Decoder,
    Delta,
    Failure,
    ImagePart,
    Progress,
    Request,
    Translated,
    User,
)
from controlplane.protocols.rescue import Kind, Rescuer
from controlplane.routing.resolve import Wanted
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, FlockError
from flockpy.placement import Capability

BYTES_PER_TOKEN: Final = 4
_CHAT: Final = TranslatedChat()
_SILENT: Final = (Progress, Counted)
_JSON_CALLS: Final[frozenset[Kind]] = frozenset({"llama_json"})


class Retold(Inbound, frozen=True, kw_only=True):
    """A request whose answer is read, mended and told anew: `request` says what was asked, `told` how to tell it."""

    request: Request
    told: Translated


class Neutral(Retold, frozen=True, kw_only=True):
    """One that is sent in another protocol than it came in; `size` is that of the client's body, in bytes."""

    size: int


class TranslatedSurface(Plain):
    """A translating surface in the shape the pipeline knows."""

    capability: Capability = "chat"

    def __init__(self, name: SurfaceName, inner: Translated) -> None:
        self.name: SurfaceName = name
        self.stream_type = inner.stream_type
        self._inner = inner

    def parse(self, body: bytes) -> Neutral:
        request = self._inner.request(body)
        return Neutral(
            {},
            request.model,
            request.stream,
            request.max_tokens,
            wants_usage=True,
            request=request,
            told=self._inner,
            size=len(body),
        )

    def wanted(self, inbound: Inbound) -> Wanted:
        asked = cast("Neutral", inbound)
        return Wanted("chat", asked.size // BYTES_PER_TOKEN, has_pictures(asked.request))

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        """Nothing: what was wrong with the request was said before it was translated."""

    def status(self, error: FlockError) -> int:
        return self._inner.status(error)

    def error(self, error: FlockError) -> bytes:
        return self._inner.error(error)

    def stream_error(self, error: FlockError) -> bytes:
        return self._inner.stream_error(error)

    def usage(self, body: bytes) -> Usage | None:
        """None: the usage comes with the deltas."""

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        """Nothing: the encoder keeps its client alive."""
        return b""


class Translation:
    """One answer of an engine: bytes in, deltas out, mended on the way.

    `events` counts what a token each may have made, `usage` is the engine's last word on it, `failure` what ended it.
    """

    def __init__(
        self,
        request: Request,
        *,
        seed: str,
        off: frozenset[Kind] = frozenset(),
        whole: bool = False,
        decoder: Decoder | None = None,
    ) -> None:
        """`decoder`: for what is not answered in OpenAI's chat protocol."""
        self._decoder = decoder or ChatDecoder()
        tools = () if request.tool_choice == "none" else request.tools
        if request.format is not None:  # an answer that is to be JSON may look like a call in JSON
            off = off.union(_JSON_CALLS)
        self._rescuer = Rescuer(tools=tools, seed=seed, off=off, whole=whole)
        self.events = 0
        self.usage: Usage | None = None
        self.failure: FlockError | None = None

    @property
    def rescued(self) -> Mapping[str, int]:
        """What was mended so far, by kind."""
        return self._rescuer.rescued

    def feed(self, data: bytes) -> list[Delta]:
        """The deltas to pass on; with `failure` set, the last of them."""
        return self._passed(self._rescuer.feed(self._heard(self._decoder.feed(data))))

    def whole(self, body: bytes) -> list[Delta]:
        """All deltas of an answer that the engine gave in one piece."""
        heard = self._heard(ChatDecoder().whole(body))
        return self._passed([*self._rescuer.feed(heard), *self._rescuer.end()])

    def end(self) -> list[Delta]:
        """The last of them, at the clean end of the bytes."""
        return self._passed([*self._rescuer.feed(self._heard(self._decoder.end())), *self._rescuer.end()])

    def _passed(self, deltas: list[Delta]) -> list[Delta]:
        if self.failure is None:
            return deltas
        return [delta for delta in deltas if not isinstance(delta, Failure)]

    def _heard(self, deltas: list[Delta]) -> list[Delta]:
        for delta in deltas:
            if isinstance(delta, Counted):
                self.usage = delta.usage
            elif isinstance(delta, Failure):
                self.failure = delta.error
            elif not isinstance(delta, Progress):
                self.events += 1
        return deltas


def has_pictures(request: Request) -> bool:
    """Whether a user shows pictures."""
    said = (message.parts for message in request.messages if isinstance(message, User))
    return any(isinstance(part, ImagePart) for parts in said for part in parts)


def retold_chat(inbound: Inbound, body: bytes, *, instructed: bool) -> tuple[Inbound, bytes]:
    """A chat request and its body as they are to be dealt with; `body` is what `inbound` was parsed from, `instructed`
    that it has instructions where most templates have no place for them.

    The answer to one that offers tools is mended: only tools leak into text. Developers, and instructions in
    mid-conversation, are put into words that every template knows. What cannot be told anew (several choices,
    probabilities of tokens) is left alone, and what we cannot read is the engine's to judge.
    """
    fields = inbound.fields
    if not instructed and "tools" not in fields:
        return inbound, body
    try:
        request = chat_request.request(body)
    except BadRequest:
        return inbound, body
    if instructed:
        messages = msgspec.Raw(chat_dialect.render_messages(request.messages))
        fields = {**fields, "messages": messages}
        inbound, body = msgspec.structs.replace(inbound, fields=fields), rewrite(fields, {})
    untold = inbound.choices > 1 or "logprobs" in fields or "top_logprobs" in fields
    if untold or not request.tools or request.tool_choice == "none":
        return inbound, body
    known = {name: getattr(inbound, name) for name in Inbound.__struct_fields__}
    return Retold(**known, request=request, told=_CHAT), body


def foreign_chat(inbound: Inbound, body: bytes) -> Neutral:
    """A chat request for a model whose vendor speaks another protocol; `body` is what `inbound` was parsed from.

    Raises BadRequest.
    """
    if inbound.choices > 1:
        raise BadRequest("n: this model's vendor gives one answer", field="n", hint="n: 1")
    known = {name: getattr(inbound, name) for name in Inbound.__struct_fields__}
    return Neutral(**known, request=chat_request.request(body), told=_CHAT, size=len(body))


def is_content(deltas: Iterable[Delta]) -> bool:
    """Whether there is more to it than that the prompt is being read, or was."""
    return any(type(delta) not in _SILENT for delta in deltas)
