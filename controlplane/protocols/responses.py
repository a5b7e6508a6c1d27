"""POST /v1/responses: the OpenAI Responses protocol over any engine. Pure."""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Fields
from controlplane.protocols.ir import (
    Answer,
    Counted,
    Delta,
    Encoder,
    Meta,
    Reasoning,
    Request,
    Text,
    ToolArgs,
    ToolStart,
)
from controlplane.protocols.openai_error import error_body
from controlplane.protocols.responses_object import failure
from controlplane.protocols.responses_request import read
from controlplane.protocols.responses_stream import ResponsesEncoder
from controlplane.protocols.sse import SseReader
from flockpy.errors import FlockError
from flockpy.placement import Capability


class _Begun(msgspec.Struct, tag_field="type", tag="response.created"):
    response: Fields


_BEGUN: Final = msgspec.json.Decoder(_Begun)
_NUMBER: Final = re.compile(rb'"sequence_number": ?(\d{1,9})')
"""In a text its quotes would be escaped."""


class ResponsesSurface:
    """Stateless: no response is kept, so none can be referred to."""

    name: Final = "responses"
    capability: Capability = "chat"
    stream_type = b"text/event-stream"

    def request(self, body: bytes) -> Request:
        return read(body)

    def encoder(self, request: Request, meta: Meta) -> Encoder:
        return ResponsesEncoder(request, meta)

    def render(self, request: Request, answer: Answer, meta: Meta) -> bytes:
        encoder = ResponsesEncoder(request, meta)
        encoder.feed(_deltas(answer))
        encoder.end()
        return msgspec.json.encode(encoder.response)

    def status(self, error: FlockError) -> int:
        return error.status

    def error(self, error: FlockError) -> bytes:
        return error_body(error)

    def stream_error(self, error: FlockError) -> bytes:
        return b"\n\n" + _error_event(failure(error), 0)


def cut_short(first: bytes, last: bytes, error: FlockError) -> bytes:
    """The events that end a stream which somebody else began in this protocol, of which `first` and `last` are pieces.

    The SDKs raise an ``error``, and take a response that failed for an answer like others, if it is the one that they
    have heard of; Codex passes over the former, and takes from the latter whether and when to ask again.
    """
    try:
        begun = _BEGUN.decode(next(iter(SseReader().feed(first)), b""))
    except UNREADABLE:
        return ResponsesSurface().stream_error(error)
    numbers, why = _NUMBER.findall(last), failure(error)
    number = int(numbers[-1]) + 1 if numbers else 0
    response = {**begun.response, "status": "failed", "error": why}
    event = {"type": "response.failed", "sequence_number": number + 1, "response": response}
    failed = b"event: response.failed\ndata: %b\n\n" % msgspec.json.encode(event)
    return b"\n\n" + _error_event(why, number) + failed


def _error_event(why: dict[str, Any], number: int) -> bytes:
    """In the form that is documented, and with what the vendor's own have: by that the SDKs know it."""
    inner = {"type": "server_error", **why, "param": None}
    event = {"type": "error", "error": inner, **why, "param": None, "sequence_number": number}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(event)


def _deltas(answer: Answer) -> Iterator[Delta]:
    yield Reasoning(answer.reasoning, answer.signature)
    yield Text(answer.text)
    for index, call in enumerate(answer.calls):
        yield ToolStart(index, call.id, call.name)
        yield ToolArgs(index, call.arguments)
    if answer.stop is not None:
        yield answer.stop
    if answer.usage is not None:
        yield Counted(answer.usage)
