"""How the handlers of the admin surface are declared: who may call, how it is audited, how it can fail.

A route that changes something names its action for the audit trail, or says outright that it has none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from litestar import Response, delete, get, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.openapi.spec import OpenAPIResponse, Operation

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
    kinds: Sequence[str] = (),
) -> get:
    """A route that changes nothing. `may`: the failures beyond the usual ones; `kinds`: other media than JSON."""
    return get(
        path,
        summary=summary,
        opt={"access": access},
        responses=errors(400, *_denials(access), *may),
        security=_security(access),
        operation_class=_answering(kinds) if kinds else Operation,
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
    also: Mapping[int, ResponseSpec] | None = None,
) -> post:
    """A POST route. `action` is what the audit trail calls it; None: it changes nothing an admin decides.

    `also`: other good answers than the one of `status`.
    """
    return post(
        path,
        summary=summary,
        opt={"access": access, "action": action},
        responses={**errors(400, 408, 413, 415, *_denials(access), *may), **(also or {})},
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
        responses=errors(400, *_denials("admin"), 404, *may),
        security=_security("admin"),
        status_code=200,
    )


def options(handlers: Iterable[HTTPRouteHandler]) -> list[HTTPRouteHandler]:
    """OPTIONS for every path of `handlers`; to be registered before them.

    litestar's own answers name only the methods of whichever handler of a path came first.
    """
    methods: dict[str, set[str]] = {}
    for handler in handlers:
        for path in handler.paths:
            methods.setdefault(path, {"OPTIONS"}).update(handler.http_methods)
    return [_options(path, ", ".join(sorted(allowed))) for path, allowed in methods.items()]


def _options(path: str, allowed: str) -> HTTPRouteHandler:
    @route(path, http_method="OPTIONS", status_code=204, include_in_schema=False, opt={"access": "open"})
    async def answer() -> Response[None]:
        return Response(None, headers={"allow": allowed})

    return answer


def _answering(kinds: Sequence[str]) -> type[Operation]:
    """Describes an answer that comes in one of several media types."""

    @dataclass
    class Answering(Operation):
        def __post_init__(self) -> None:
            good = (self.responses or {}).get("200")
            if isinstance(good, OpenAPIResponse) and good.content:
                schema = next(iter(good.content.values()))
                good.content = dict.fromkeys(kinds, schema)

    return Answering


def _denials(access: Access) -> tuple[int, ...]:
    return () if access == "open" else (401, 403, 503)


def _security(access: Access) -> list[dict[str, list[str]]]:
    if access == "open":
        return []
    keys: list[dict[str, list[str]]] = [{"bearer": []}, {"api_key": []}]
    return [{}, *keys] if access == "local" else keys
