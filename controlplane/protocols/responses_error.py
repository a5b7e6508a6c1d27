"""Errors as the Responses protocol tells them, in a stream or in the place of an answer. Pure."""

import re
from math import ceil
from typing import Final

import msgspec

from controlplane.protocols.event_decoder import died
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineUnreachable,
    FlockError,
    Overloaded,
    without_paths,
)


class ErrorObject(msgspec.Struct):
    code: str | int | None = None
    message: str | None = None
    type: str | None = None


_LATER: Final = re.compile(r"try again in (\d+(?:\.\d+)?)(m?s)\b")
_OVERLOADED: Final = frozenset(
    {"rate_limit_exceeded", "server_is_overloaded", "slow_down", "overloaded_error"}
)
_TOO_LONG: Final = re.compile(r"context_length_exceeded|context window|maximum context length")
_SPENT: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_MISTAKEN: Final = re.compile(
    r"invalid_|_policy|image_|unsupported_|empty_image|failed_to_download|data_residency"
)


def failed(error: ErrorObject | str) -> FlockError:
    """What a client is told for it."""
    if isinstance(error, str):
        error = ErrorObject(message=error)
    code = str(error.code or error.type or "")
    message = without_paths((error.message or "")[:2000]) or code
    if code in _SPENT:
        return EngineUnreachable(f"the engine's account has nothing left: {message}", retry_after=30)
    if code in _OVERLOADED:
        return Overloaded(message, retry_after=_wait(message))
    if _TOO_LONG.search(f"{code} {message}"):
        return ContextTooLong(message, field="input")
    if _MISTAKEN.search(code):
        return BadRequest(message)
    return died(f"and said: {message}" if message else "with an error")


def _wait(message: str) -> int:
    """Seconds, of the words in which the vendor says it."""
    told = _LATER.search(message)
    seconds = float(told[1]) / (1000 if told[2] == "ms" else 1) if told else 1
    return max(1, min(ceil(seconds), 30))
