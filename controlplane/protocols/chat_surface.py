"""Clients of chat/completions whose upstream speaks something else, or whose streams are mended. Pure."""

from typing import Final

from controlplane.protocols import chat_request
from controlplane.protocols.chat_encoder import ChatEncoder, render
from controlplane.protocols.ir import Answer, Meta, Request
from controlplane.protocols.openai_error import error_body
from flockpy.errors import FlockError
from flockpy.placement import Capability


class TranslatedChat:
    """The chat surface as `ir.Translated`."""

    name: Final = "chat"
    capability: Capability = "chat"
    stream_type = b"text/event-stream"

    def request(self, body: bytes) -> Request:
        return chat_request.request(body)

    def encoder(self, request: Request, meta: Meta) -> ChatEncoder:
        return ChatEncoder(meta, include_usage=request.wants_usage)

    def render(self, request: Request, answer: Answer, meta: Meta) -> bytes:
        return render(answer, meta)

    def status(self, error: FlockError) -> int:
        return error.status

    def error(self, error: FlockError) -> bytes:
        return error_body(error)

    def stream_error(self, error: FlockError) -> bytes:
        return b"\n\ndata: " + error_body(error) + b"\n\n"
