"""POST /v1/responses: the OpenAI Responses protocol over any engine. Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

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
from flockpy.errors import FlockError
from flockpy.placement import Capability


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
        event = {"type": "error", **failure(error), "param": None, "sequence_number": 0}
        return b"\n\nevent: error\ndata: %b\n\n" % msgspec.json.encode(event)


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
