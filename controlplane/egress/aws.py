"""AWS: credentials from wherever its own tools find them, signatures, and the framing of its streams.

All of it is botocore's, an optional extra that is loaded when it is first needed.
"""

import asyncio
import base64
import binascii
import importlib
import logging
import re
import struct
from typing import Any, Final, Protocol

import msgspec

from controlplane.egress.base import Headers
from controlplane.egress.verdict import OWNER
from controlplane.protocols.base import UNREADABLE
from flockpy.errors import EngineDied, EngineUnreachable, LeaderRefused

log = logging.getLogger(__name__)

_SERVICE: Final = "bedrock"
_RETRY_S: Final = 30
_LINE_ENDS: Final = bytes.maketrans(b"\r\n", b"  ")  # JSON has them between its tokens only
_TYPE: Final = re.compile(r"[A-Za-z_]{1,64}")


class Credentials(Protocol):
    """Who asks AWS."""

    async def signed(self, url: str, region: str, headers: Headers, body: bytes) -> Headers:
        """The headers of a POST with what proves who sends it; `url` must be sent as it is, and so `headers`. Raises
        EngineUnreachable where there are no credentials or they cannot be had."""
        ...


class StandardCredentials:
    """The chain that AWS's own tools go: a bearer key for Bedrock in the environment, else keys in the environment,
    profiles and sign-ons in its files, the role of the machine. What expires is refreshed."""

    def __init__(self) -> None:
        self._session: Any = None
        self._finding: asyncio.Task[Any] | None = None

    async def signed(self, url: str, region: str, headers: Headers, body: bytes) -> Headers:
        found = await self._found()
        if isinstance(found, str):
            return (*headers, (b"authorization", f"Bearer {found}".encode()))
        return await asyncio.to_thread(_sign, found, url, region, headers, body)

    async def _found(self) -> Any:
        """Files and networks are asked off the loop, by one thread at a time: whoever comes meanwhile waits for it."""
        if self._finding is None:
            self._finding = asyncio.create_task(asyncio.to_thread(self._find))
            self._finding.add_done_callback(self._done)
        return await asyncio.shield(self._finding)

    def _done(self, finding: asyncio.Task[Any]) -> None:
        self._finding = None
        if not finding.cancelled():
            finding.exception()  # it is told to those who wait, of whom none may be left

    def _find(self) -> Any:
        """A bearer key, or the present keys to sign with."""
        exceptions = _botocore("exceptions")
        try:
            if token := _botocore("utils").get_token_from_environment(_SERVICE):
                return token
            if self._session is None:
                self._session = _botocore("session").get_session()
            credentials = self._session.get_credentials()
            found = credentials.get_frozen_credentials() if credentials else None
        except (exceptions.BotoCoreError, exceptions.ClientError, RuntimeError, ValueError, OSError) as error:
            log.warning("AWS credentials cannot be had: %s", type(error).__name__)
            raise EngineUnreachable(
                f"the leader's AWS credentials cannot be had ({type(error).__name__})",
                hint=f"{OWNER}aws sts get-caller-identity says more",
                retry_after=_RETRY_S,
            ) from None  # its words may hold what a program for credentials printed
        if found is None:
            raise LeaderRefused(
                "the leader has no AWS credentials",
                hint=f"{OWNER}set AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "or AWS_BEARER_TOKEN_BEDROCK where it starts",
            )
        return found


class _Framed:
    """Messages of AWS's event streams, cut anywhere; `_told` makes an event of each."""

    def __init__(self) -> None:
        framing = _botocore("eventstream")
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

    def _event(self, name: str, payload: bytes) -> bytes:
        raise NotImplementedError

    def _error(self, name: str, payload: bytes) -> bytes:
        raise NotImplementedError


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


def _sign(credentials: Any, url: str, region: str, headers: Headers, body: bytes) -> Headers:
    """Signature version 4, in the headers."""
    named = {name.decode(): value.decode() for name, value in headers}
    request = _botocore("awsrequest").AWSRequest(method="POST", url=url, data=body, headers=named)
    _botocore("auth").SigV4Auth(credentials, _SERVICE, region).add_auth(request)
    return tuple((name.lower().encode(), str(value).encode()) for name, value in request.headers.items())


def _botocore(part: str) -> Any:
    """A module of it. Raises LeaderRefused where it is not installed."""
    try:
        module = importlib.import_module(f"botocore.{part}")
    except ModuleNotFoundError:
        raise LeaderRefused(
            "Bedrock needs a library that the leader lacks",
            hint=f"{OWNER}flockpy doctor names the command that installs it",
        ) from None
    # What it logs below that holds session tokens and signatures.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return module
