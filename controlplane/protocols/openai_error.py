"""The error body that all OpenAI protocols share. Pure."""

from typing import Final

import msgspec

from flockpy.errors import FlockError

_TYPES: Final = {
    401: "invalid_request_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "insufficient_quota",
    502: "server_error",
    503: "server_error",
    500: "server_error",
}


def told(error: FlockError) -> str:
    """What a client is told: what is wrong, and what mends it."""
    return f"{error.message}. {error.hint}" if error.hint else error.message


def error_body(error: FlockError) -> bytes:
    """``{"error": {"message", "type", "param", "code"}}``."""
    kind = _TYPES.get(error.status, "invalid_request_error")
    return msgspec.json.encode(
        {"error": {"message": told(error), "type": kind, "param": error.field, "code": error.code}}
    )
