"""What clients ask beside inference: which models there are, and how many tokens a prompt has."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import unquote_to_bytes

import msgspec

from controlplane.cluster.state import InstalledModel
from controlplane.gateway.asked import Asked
from controlplane.gateway.counting import Counter
from controlplane.gateway.reply import Reply
from controlplane.protocols import ollama_listing as ollama
from controlplane.protocols.anthropic import MessagesSurface, read_count_request, render_count
from controlplane.protocols.base import Surface, decode
from controlplane.protocols.listing import render_list, render_one
from controlplane.protocols.ollama import OllamaChatSurface
from controlplane.protocols.openai_chat import ChatSurface
from controlplane.protocols.translated import TranslatedSurface
from controlplane.routing.table import RoutingTable
from flockpy.errors import UnknownModel

MODELS: Final = b"/v1/models"
COUNT: Final = b"/v1/messages/count_tokens"
_OLLAMA: Final = TranslatedSurface("ollama", OllamaChatSurface())
_READ: Final = (b"GET", b"HEAD")
_SHOW: Final = b"/api/show"

METHODS: Final[Mapping[bytes, tuple[bytes, ...]]] = {
    b"/api/tags": _READ,
    b"/api/ps": _READ,
    b"/api/version": _READ,
    _SHOW: (b"POST",),
    COUNT: (b"POST",),
}
"""The methods of each path; those under ``/v1/models`` are read."""
_ERRORS: Final[Mapping[bytes, Surface]] = {
    **dict.fromkeys(METHODS, _OLLAMA),
    COUNT: TranslatedSurface("messages", MessagesSurface()),
}
_CHAT: Final = ChatSurface()


class _Named(msgspec.Struct):
    model: str = ""
    name: str = ""


_NAMED: Final = msgspec.json.Decoder(_Named)


def methods(path: bytes) -> tuple[bytes, ...]:
    """The methods of a path; () when it is none of these."""
    known = METHODS.get(path, ())
    if not known and path.startswith(MODELS) and path[len(MODELS) : len(MODELS) + 1] in (b"", b"/"):
        return _READ
    return known


def voice(path: bytes) -> Surface:
    """In whose shape errors are told."""
    return _ERRORS.get(path, _CHAT)


class Questions:
    """`installed` is what is known of models beside their routes."""

    def __init__(
        self,
        *,
        table: Callable[[], RoutingTable],
        installed: Callable[[], Mapping[str, InstalledModel]],
        counter: Counter,
    ) -> None:
        self._table = table
        self._installed = installed
        self._counter = counter

    async def answer(self, asked: Asked, body: bytes, reply: Reply) -> None:
        """Answer one. Raises FlockError."""
        if asked.path == COUNT:
            request = read_count_request(body)
            count = await self._counter.count(asked.call, request, body, asked.headers)
            reply.whole(200, b"application/json", render_count(count))
        else:
            reply.whole(200, b"application/json", self._told(asked, body))

    def _told(self, asked: Asked, body: bytes) -> bytes:
        key, table, path = asked.call.key, self._table(), asked.path
        allowed = key.models if key else None
        if path == b"/api/version":
            return ollama.render_version()
        if path == b"/api/tags":
            return ollama.render_tags(table, self._installed(), allowed)
        if path == b"/api/ps":
            return ollama.render_ps(table, self._installed(), allowed)
        if path == _SHOW:
            named = decode(_NAMED, body)
            name = named.model or named.name
            told = ollama.render_show(name, table, self._installed(), allowed)
        else:
            anthropic = bool(asked.named.get(b"anthropic-version"))
            name = unquote_to_bytes(path[len(MODELS) + 1 :]).decode(errors="replace")
            if not name:
                return render_list(table, allowed, anthropic=anthropic)
            told = render_one(name, table, allowed, anthropic=anthropic)
        if told is None:
            raise UnknownModel(
                f"there is no model {name[:200]!r}", field="model", hint="all of them: GET /v1/models"
            )
        return told
