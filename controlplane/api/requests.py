"""Requests: those on their way with their stage, and the routing receipt of one."""

from typing import Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from controlplane.api.auth import ApiRequest
from controlplane.api.live import Attempt, LiveRequest, Stage
from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, act, read
from controlplane.api.services import Needs
from controlplane.api.shapes import Page, rfc3339
from controlplane.tenants.model import Outcome, Surface, TokensSource, UsageRecord
from flockpy.errors import Conflict, NotFound

_RECENT: Final = "flockpy usage lists recent ones; what was refused before it went to a model left no record"


class Receipt(msgspec.Struct, frozen=True):
    """Why a request went where it went: each try in turn, with everything that was considered. `hops`: the models that
    were passed over, each with the reason. `error`: what its client was told instead of an answer, or ""."""

    asked_model: str
    error: str
    hops: tuple[str, ...]
    attempts: tuple[Attempt, ...]


class Request(msgspec.Struct, frozen=True):
    """A request so far, or as it ended. `receipt` is None when only its usage record is left."""

    request_id: str
    time: str
    key_id: str
    user: str
    model: str
    node_id: str
    surface: Surface
    stream: bool
    stage: Stage
    queue_ms: float
    duration_ms: float
    ttft_ms: float | None
    position: int | None
    eta_s: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    tokens_source: TokensSource | None
    cost_usd: float | None
    outcome: Outcome | None
    status: int | None
    receipt: Receipt | None


@read(f"{ADMIN}/requests", "List requests on their way", may=(404,))
async def list_requests(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[Request]:
    return page(services.requests.list(), limit, cursor, lambda request: request.request_id, _live)


@read(f"{ADMIN}/requests/{{request_id:str}}", "Show a request and its routing receipt", may=(404,))
async def show_request(request_id: FromPath[str], services: Needs) -> Request:
    live = services.requests.get(request_id)
    if live is not None:
        return _live(live)
    record = await services.usage.find(request_id)
    if record is None:
        raise NotFound(f"There is no request {request_id}.", hint=_RECENT)
    return _past(record)


@act(
    f"{ADMIN}/requests/{{request_id:str}}/cancel",
    "Give a request up",
    action="request.cancel",
    may=(404, 409),
)
async def cancel_request(request_id: FromPath[str], request: ApiRequest, services: Needs) -> Request:
    """Its engine is told at once; what was spent is metered."""
    known = services.requests.get(request_id)
    if known is None:
        raise NotFound(f"There is no request {request_id} on its way.")
    if not services.requests.cancel(request_id, request.user.actor):
        raise Conflict(f"The request {request_id} has ended already.")
    request.user.note(request_id, model=known.model, user=known.user)
    return _live(services.requests.get(request_id) or known)


HANDLERS: list[HTTPRouteHandler] = [list_requests, show_request, cancel_request]


def _live(of: LiveRequest) -> Request:
    receipt = Receipt(of.asked_model, of.error, of.hops, of.attempts)
    return _shown(of, of.stage, of.position, of.eta_s, receipt)


def _past(of: UsageRecord) -> Request:
    return _shown(
        of, "completed" if of.outcome == "ok" else "cancelled" if of.outcome == "cancelled" else "failed"
    )


def _shown(
    of: LiveRequest | UsageRecord,
    stage: Stage,
    position: int | None = None,
    eta_s: float | None = None,
    receipt: Receipt | None = None,
) -> Request:
    return Request(
        request_id=of.request_id,
        time=rfc3339(of.time),
        key_id=of.key_id,
        user=of.user,
        model=of.model,
        node_id=of.node_id,
        surface=of.surface,
        stream=of.stream,
        stage=stage,
        queue_ms=of.queue_ms,
        duration_ms=of.duration_ms,
        ttft_ms=of.ttft_ms,
        position=position,
        eta_s=eta_s,
        prompt_tokens=of.prompt_tokens,
        completion_tokens=of.completion_tokens,
        cached_tokens=of.cached_tokens,
        tokens_source=of.tokens_source,
        cost_usd=of.cost_usd,
        outcome=of.outcome,
        status=of.status,
        receipt=receipt,
    )
