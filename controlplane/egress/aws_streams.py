"""The framing of AWS's event streams, taken off by botocore: what is left are server-sent events."""

import base64
import binascii
import re
import struct
from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from controlplane.egress.aws import botocore
from controlplane.protocols.base import UNREADABLE
from flockpy.errors import EngineDied

_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")  # JSON has them between its tokens only
_TYPE: Final = re.compile(r"[A-Za-z_]{1,64}")


class _Framed(ABC):
    """Messages of AWS's event streams, cut anywhere; `_told` makes an event of each."""

    def __init__(self) -> None:
        framing = botocore("eventstream")
        self._buffer: Any = framing.EventStreamBuffer()
        self._broken = (framing.ParserError, struct.error, KeyError, UnicodeDecodeError)

    def feed(self, data: bytes) -> bytes:
        """The events that `data` completes. Raises EngineDied for bytes that are no such framing."""
        self._buffer.add_data(data)
        try:
            return b"".join([self._one(message) for message in self._buffer])
        except self._broken as error:
            raise EngineDied(
                f"Bedrock broke off with a broken frame ({type(error).__name__})", retry_after=1
            ) from None

    def _one(self, message: Any) -> bytes:
        headers: dict[str, Any] = message.headers
        payload = bytes(message.payload)
        match headers.get(":message-type"):
            case "event":
                return self._event(str(headers.get(":event-type")), payload)
            case "exception":
                return self._error(str(headers.get(":exception-type")), payload)
            case _:
                said = f"{headers.get(':error-code')}: {headers.get(':error-message')}"
                return self._error("internalServerException", msgspec.json.encode({"message": said}))

    @abstractmethod
    def _event(self, name: str, payload: bytes) -> bytes: ...

    @abstractmethod
    def _error(self, name: str, payload: bytes) -> bytes: ...


class ConverseUnframe(_Framed):
    """ConverseStream as ``data: {"contentBlockDelta": {…}}``; errors in the same way."""

    def _event(self, name: str, payload: bytes) -> bytes:
        return b"data: {%b:%b}\n\n" % (msgspec.json.encode(name), payload.translate(_LINE_ENDS))

    def _error(self, name: str, payload: bytes) -> bytes:
        return self._event(name, payload)


class _Chunk(msgspec.Struct):
    bytes: str = ""


class _Typed(msgspec.Struct):
    type: str = ""


class _Exception(msgspec.Struct, rename="camel"):
    message: str = ""
    original_message: str = ""


_CHUNK: Final = msgspec.json.Decoder(_Chunk)
_TYPED: Final = msgspec.json.Decoder(_Typed)
_EXCEPTION: Final = msgspec.json.Decoder(_Exception)
_ERROR_TYPES: Final = {
    "throttlingException": "rate_limit_error",
    "serviceUnavailableException": "overloaded_error",
    "validationException": "invalid_request_error",
}


class MessagesUnframe(_Framed):
    """InvokeModelWithResponseStream of an Anthropic model as that vendor's own stream of events."""

    def _event(self, name: str, payload: bytes) -> bytes:
        if name != "chunk":
            return b""
        try:
            data = base64.b64decode(_CHUNK.decode(payload).bytes, validate=True)
            kind = _TYPED.decode(data).type
        except (*UNREADABLE, binascii.Error):
            raise EngineDied("Bedrock broke off with a chunk that is no event", retry_after=1) from None
        if not _TYPE.fullmatch(kind):
            raise EngineDied("Bedrock broke off with an event without a type", retry_after=1)
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data.translate(_LINE_ENDS))

    def _error(self, name: str, payload: bytes) -> bytes:
        try:
            said = _EXCEPTION.decode(payload)
        except UNREADABLE:
            said = _Exception()
        error = {
            "type": _ERROR_TYPES.get(name, "api_error"),
            "message": said.original_message or said.message or name,
        }
        return b"event: error\ndata: %b\n\n" % msgspec.json.encode({"type": "error", "error": error})
