"""Every error flockpy answers with, as one tree. Surfaces render it once, at their edge. Pure.

FlockError
├── BadRequest            400 invalid_request_error   the client's mistake; `field` names where
│   ├── ContextTooLong    400 context_length_exceeded
│   └── HeadTooLarge      431 headers_too_large
├── Unauthenticated       401 invalid_api_key         no key, or one that is wrong, revoked or expired
├── Forbidden             403 permission_denied       the key is good, but not for this
├── NotFound              404 not_found
│   └── UnknownModel      404 model_not_found         `near` lists what was perhaps meant
├── MethodNotAllowed      405 method_not_allowed
├── Conflict              409 conflict
├── BodyTimeout           408 request_timeout         the body stopped arriving
├── BodyTooLarge          413 request_too_large
├── QuotaSpent            429 insufficient_quota
├── Overloaded            503 overloaded              queue full, still loading, or shutting down; try again
├── EngineUnreachable     503 engine_unreachable      no engine could answer before the first byte
│   └── LeaderRefused     503 engine_unreachable      a vendor refuses the leader until an admin mends it
├── EngineDied            502 engine_died             the engine broke off after its first byte
└── StartError            (no HTTP)                   the program cannot start or a command cannot run
"""

import re
from typing import ClassVar, Literal

_PATH = re.compile(r"(?<![\w.:/])/(?:[^\s/'\":]+/)+([^\s/'\":]*)")


class FlockError(Exception):
    """Base of all expected failures.

    `message` says what is wrong, `field` where (a JSON path such as ``messages[0].role``),
    `hint` the command or value that mends it. `retry_after` is in whole seconds, 1 to 30, or None.
    `retryable` tells a client whether the same request may succeed later.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        hint: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.hint = hint
        self.retry_after = retry_after


class BadRequest(FlockError):
    status = 400
    code = "invalid_request_error"


class ContextTooLong(BadRequest):
    """`tokens` the prompt has, where `maximum` would fit; 0 when that is not known."""

    code = "context_length_exceeded"

    def __init__(
        self,
        message: str,
        *,
        field: str | None = None,
        hint: str | None = None,
        tokens: int = 0,
        maximum: int = 0,
    ) -> None:
        super().__init__(message, field=field, hint=hint)
        self.tokens = tokens
        self.maximum = maximum


class HeadTooLarge(BadRequest):
    status = 431
    code = "headers_too_large"


class Unauthenticated(FlockError):
    status = 401
    code = "invalid_api_key"


class Forbidden(FlockError):
    status = 403
    code = "permission_denied"


class NotFound(FlockError):
    status = 404
    code = "not_found"


class UnknownModel(NotFound):
    code = "model_not_found"


class MethodNotAllowed(FlockError):
    """`allow` is the method that is: for the header of that name."""

    status = 405
    code = "method_not_allowed"

    def __init__(self, method: str, *, allow: str) -> None:
        super().__init__(f"{method} is not allowed here", hint=f"use {allow.partition(',')[0]}")
        self.allow = allow


class Conflict(FlockError):
    status = 409
    code = "conflict"


class BodyTimeout(FlockError):
    status = 408
    code = "request_timeout"


class BodyTooLarge(FlockError):
    status = 413
    code = "request_too_large"


class QuotaSpent(FlockError):
    """`remaining` tokens are left, `reset_in_s` seconds until the quota is whole again: for the headers."""

    status = 429
    code = "insufficient_quota"

    def __init__(
        self, message: str, *, hint: str | None = None, remaining: int = 0, reset_in_s: float = 0
    ) -> None:
        super().__init__(message, hint=hint)
        self.remaining = remaining
        self.reset_in_s = reset_in_s


class Overloaded(FlockError):
    status = 503
    code = "overloaded"
    retryable = True


class EngineUnreachable(FlockError):
    status = 503
    code = "engine_unreachable"
    retryable = True


class LeaderRefused(EngineUnreachable):
    """A vendor refuses the leader's key or account, or it has none. Another model may answer; asking the same one again
    is no use, so that clients are told not to, and those that do all the same need not wait long. `why` is for whoever
    runs the leader: its key, its account or its installation."""

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        why: Literal["vendor_auth", "vendor_account", "vendor_setup"] = "vendor_auth",
    ) -> None:
        super().__init__(message, hint=hint, retry_after=1)
        self.why = why


class EngineDied(FlockError):
    status = 502
    code = "engine_died"
    retryable = True


class StartError(FlockError):
    """`EXIT` is the exit code of a leader or an agent that it ends: starting it again would not help."""

    code = "start_error"
    EXIT: ClassVar[int] = 3

    def told(self) -> str:
        """For standard error: what is wrong, and what mends it."""
        return f"flockpy: {self.message}\n" + (f"  → {self.hint}\n" if self.hint else "")


def without_paths(text: str) -> str:
    """Text with absolute paths cut to their last part, for those who need not know how the machine is laid out."""
    return _PATH.sub(r"\1", text)
