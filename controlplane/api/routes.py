"""How the handlers of the admin surface are declared: who may call a route, what it is audited as, how it can
fail.

A route that changes something names its action for the audit trail, or says outright that it has none.
"""

from collections.abc import Sequence

from litestar import delete, get, post
from litestar.openapi import ResponseSpec

from controlplane.api.auth import Access
from controlplane.api.body import JsonBody
from controlplane.api.edge import ErrorBody

ADMIN = "/admin/v1"
BODY_BYTES = 2**20
"""Longer bodies are refused: nothing on this surface is near it."""

_DESCRIPTIONS = {
    400: "The request is wrong; `field` says where.",
    401: "No key, or one that is not good.",
    403: "The key is good, but not for this.",
    404: "There is no such thing.",
    405: "Not this method.",
    408: "The body stopped arriving.",
    409: "It does not go with the present state.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    500: "The leader failed.",
    503: "Not now; try again.",
}


def errors(*statuses: int) -> dict[int, ResponseSpec]:
    """The failures a route can answer, for the API description."""
    return {
        status: ResponseSpec(ErrorBody, description=_DESCRIPTIONS[status], generate_examples=False)
        for status in statuses
    }


def read(
    path: str,
    summary: str,
    *,
    access: Access = "admin",
    may: Sequence[int] = (),
    media_type: str | None = None,
) -> get:
    """A route that changes nothing. `may`: the failures beyond the usual ones."""
    return get(
        path,
        summary=summary,
        opt={"access": access},
        responses=errors(400, *_denials(access), *may),
        security=_security(access),
        media_type=media_type,
        status_code=200,
    )


def act(
    path: str,
    summary: str,
    *,
    action: str | None,
    access: Access = "admin",
    status: int = 200,
    may: Sequence[int] = (),
) -> post:
    """A POST route. `action` is what the audit trail calls it; None: it changes nothing an admin decides."""
    return post(
        path,
        summary=summary,
        opt={"access": access, "action": action},
        responses=errors(400, 408, 413, 415, *_denials(access), *may),
        security=_security(access),
        status_code=status,
        dto=JsonBody,
        return_dto=None,
        request_max_body_size=BODY_BYTES,
    )


def remove(path: str, summary: str, *, action: str, may: Sequence[int] = ()) -> delete:
    """A DELETE route for admins; it answers what was removed."""
    return delete(
        path,
        summary=summary,
        opt={"access": "admin", "action": action},
        responses=errors(400, 401, 403, 404, *may),
        security=_security("admin"),
        status_code=200,
    )


def _denials(access: Access) -> tuple[int, ...]:
    return () if access == "open" else (401, 403)


def _security(access: Access) -> list[dict[str, list[str]]]:
    return [] if access == "open" else [{"bearer": []}, {"api_key": []}]
