"""The edge of the admin surface: every failure leaves here, in one shape, with nothing of the inside."""

import logging
from collections.abc import Callable
from typing import Any, cast

import msgspec
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, ValidationException

from controlplane.api.body import invalid
from flockpy.errors import BadRequest, FlockError, without_paths

log = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]

_CODES = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
    415: "unsupported_media_type",
}


class ErrorDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    code: str
    message: str
    field: str | None = None
    hint: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """What every failed admin call answers."""

    error: ErrorDetail


Handlers = dict[int | type[Exception], Callable[[AnyRequest, Any], Response[ErrorBody]]]


def handlers() -> Handlers:
    """One handler for each kind of exception; litestar looks for the nearest base class."""
    return {FlockError: _flock_error, HTTPException: _framework_error, Exception: _unexpected}


def error_response(
    status: int, detail: ErrorDetail, headers: dict[str, str] | None = None
) -> Response[ErrorBody]:
    """An answer in the admin surface's error shape."""
    return Response(ErrorBody(detail), status_code=status, headers=headers, media_type=MediaType.JSON)


def _flock_error(_: AnyRequest, error: FlockError) -> Response[ErrorBody]:
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    # Of what goes wrong inside, a caller needs no path; in what they asked for themselves, it is their own.
    message = without_paths(error.message) if error.status >= 500 else error.message
    return error_response(error.status, ErrorDetail(error.code, message, error.field, error.hint), headers)


def _framework_error(request: AnyRequest, error: HTTPException) -> Response[ErrorBody]:
    if isinstance(error, ValidationException):
        return _flock_error(request, _named(error))
    if error.status_code >= 500:
        return _unexpected(request, error)
    message = {
        404: "There is nothing at this path; GET /openapi.json lists what there is.",
        405: f"{request.method} is not possible here.",
        413: "The body is too large.",
    }.get(error.status_code, error.detail)
    code = _CODES.get(error.status_code, "invalid_request_error")
    return error_response(error.status_code, ErrorDetail(code, message), error.headers)


def _named(error: ValidationException) -> BadRequest:
    """The first complaint about a parameter, with its name; an absent body is a complaint without one."""
    complaints = cast("list[dict[str, str]]", error.extra if isinstance(error.extra, list) else [])
    if not complaints:
        return BadRequest(error.detail)
    first = complaints[0]
    key = first.get("key", "")
    if key in ("", "data"):
        return BadRequest("This call needs a JSON body.")
    return invalid(first.get("message", error.detail), within=key)


def _unexpected(request: AnyRequest, error: Exception) -> Response[ErrorBody]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    detail = ErrorDetail("internal_error", "The leader failed on this call; its log says why.")
    return error_response(500, detail)
