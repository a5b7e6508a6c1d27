"""The Anthropic Messages surface: POST /v1/messages and /v1/messages/count_tokens. Pure."""

from typing import Final, Literal

import msgspec

from controlplane.protocols import anthropic_answer, anthropic_error, anthropic_request
from controlplane.protocols.anthropic_stream import MessagesEncoder
from controlplane.protocols.ir import Answer, Meta, Request
from flockpy.errors import FlockError
from flockpy.placement import Capability


class MessagesSurface:
    """See `ir.Translated`."""

    name: Final[Literal["messages"]] = "messages"
    capability: Capability = "chat"
    stream_type = b"text/event-stream"

    def request(self, body: bytes) -> Request:
        return anthropic_request.read_request(body)

    def encoder(self, request: Request, meta: Meta) -> MessagesEncoder:
        return MessagesEncoder(meta, frozenset(tool.name for tool in request.tools if tool.eager))

    def render(self, request: Request, answer: Answer, meta: Meta) -> bytes:
        return anthropic_answer.render(answer, meta)

    def status(self, error: FlockError) -> int:
        return anthropic_error.status(error)

    def error(self, error: FlockError) -> bytes:
        return anthropic_error.error_body(error)

    def stream_error(self, error: FlockError) -> bytes:
        return b"\n\n" + anthropic_error.error_event(error)


def read_count_request(body: bytes) -> Request:
    """A body of POST /v1/messages/count_tokens, which has no `max_tokens`. Raises BadRequest that names the field."""
    return anthropic_request.read_countable(body)


def render_count(input_tokens: int) -> bytes:
    """The answer to it."""
    return msgspec.json.encode({"input_tokens": input_tokens})
