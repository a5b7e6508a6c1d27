"""Errors as the Anthropic Messages protocol has them. Pure."""

from typing import Final

import msgspec

from controlplane.protocols.openai_error import told
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    LeaderRefused,
    Overloaded,
)

_OVERLOADED: Final = 529
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    _OVERLOADED: "overloaded_error",
}


def status(error: FlockError) -> int:
    """The HTTP status of an error: as its own, but for what this protocol calls overloaded."""
    return _OVERLOADED if isinstance(error, Overloaded | EngineUnreachable) else error.status


def error_body(error: FlockError) -> bytes:
    """``{"type": "error", "error": {"type", "message"}}``. An engine that died is told as overloaded: some clients ask
    again for nothing else."""
    code = status(error)
    if isinstance(error, LeaderRefused):  # what is overloaded, Claude Code asks again whatever a header says
        return _body("api_error", error)
    if isinstance(error, EngineDied):
        code = _OVERLOADED
    return _body(_TYPES.get(code, "invalid_request_error" if code < 500 else "api_error"), error)


def error_event(error: FlockError) -> bytes:
    """The event that ends a stream that cannot go on. Continue knows what it may ask again by a word in the message,
    and no type."""
    if isinstance(error, EngineDied):
        return b"event: error\ndata: %b\n\n" % _body("overloaded_error", error, "Overloaded: ")
    return b"event: error\ndata: %b\n\n" % error_body(error)


def _body(kind: str, error: FlockError, before: str = "") -> bytes:
    message = before + _message(error)
    return msgspec.json.encode({"type": "error", "error": {"type": kind, "message": message}})


def _message(error: FlockError) -> str:
    message = told(error)
    if isinstance(error, ContextTooLong):
        # Clients know a prompt that is too long by this wording, and shorten their conversation.
        if error.tokens and error.maximum:
            return f"prompt is too long: {error.tokens} tokens > {error.maximum} maximum"
        return f"prompt is too long: {message}"
    if isinstance(error, BadRequest) and error.field and error.field not in message:
        return f"{error.field}: {message}"  # this protocol has no other place for it
    return message
