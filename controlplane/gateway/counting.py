"""How many tokens a prompt has: asked of whoever serves the model, over the template with system and tools."""

import logging
from collections.abc import Callable
from typing import Final

import msgspec

from controlplane.gateway.asked import Headers
from controlplane.gateway.call import Call
from controlplane.gateway.outbound import translated
from controlplane.gateway.pipeline import unknown_model
from controlplane.gateway.upstream import head_of
from controlplane.gateway.vendor_counting import VendorCounter
from controlplane.protocols.base import UNREADABLE
from controlplane.protocols.ir import Request
from controlplane.protocols.translated import BYTES_PER_TOKEN, has_pictures
from controlplane.routing.resolve import Unknown, Wanted, resolve
from controlplane.routing.table import Route, RoutingTable
from controlplane.tenants import estimate
from flockpy.engines import quirks as quirks_of
from flockpy.errors import Forbidden
from flockpy.http import Client, HttpError, Silent, origin_of
from flockpy.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

MAX_ANSWER: Final = 2**20
PATIENCE: Final = 5
"""Silences, of `Client.silence_s` each, after which an estimate has to do."""


class _Counted(msgspec.Struct):
    """llama.cpp calls it `input_tokens`, vLLM `count`."""

    input_tokens: int | None = None
    count: int | None = None


_COUNTED: Final = msgspec.json.Decoder(_Counted)


class Counter:
    """`client`: connections to engines.

    What is counted is no use of a model: vendors take nothing for it, and it has no usage record, only a metric.
    """

    def __init__(
        self, client: Client, vendors: VendorCounter, table: Callable[[], RoutingTable], metrics: Metrics
    ) -> None:
        self._client = client
        self._vendors = vendors
        self._table = table
        self._metrics = metrics

    async def count(self, call: Call, request: Request, body: bytes, headers: Headers) -> int:
        """Tokens of the prompt that `request` was read from `body` for; `headers` are the client's.

        Where nobody can tell, an estimate that errs high, which the call's `estimated` says. Raises UnknownModel,
        Forbidden, and what a vendor refuses.
        """
        size = len(body)
        route = self._route(call, request, size)
        call.model = route.model_id
        if route.vendor and (count := await self._vendors.count(route, body, headers)) is not None:
            return self._told(route.vendor, count)
        for replica in route.replicas:
            quirks = quirks_of(replica.engine)
            if not quirks.counts_tokens_at or request.raw:
                continue
            out = translated(
                request, model=replica.engine_model, quirks=quirks, max_tokens_cap=None, live=False
            )
            head = head_of(replica.endpoint, quirks.counts_tokens_at, out.content_type, len(out.data), b"")
            try:
                count = await self._ask(replica.endpoint.url, head, out.data)
            except HttpError as error:
                log.warning("%s counted no tokens: %s", replica.engine, error)
                continue
            if count is not None:
                return self._told(replica.engine, count)
        call.estimated = True
        return self._told("estimate", estimate.estimate(estimate.UNKNOWN, size, 0))

    def _told(self, by: str, count: int) -> int:
        self._metrics.token_counts.labels(by).inc()
        return count

    async def _ask(self, url: str, head: bytes, data: bytes) -> int | None:
        exchange = await self._client.start(origin_of(url), head, data)
        try:
            for _ in range(PATIENCE):
                if not isinstance(answer := await exchange.head(), Silent):
                    break
            else:
                return None
            body = await exchange.body(MAX_ANSWER)
        finally:
            exchange.abort()
        if answer.status != 200:
            return None
        try:
            counted = _COUNTED.decode(body)
        except UNREADABLE:
            return None
        return counted.count if counted.input_tokens is None else counted.input_tokens

    def _route(self, call: Call, request: Request, size: int) -> Route:
        allowed = call.key.models if call.key else None
        wanted = Wanted("chat", size // BYTES_PER_TOKEN, has_pictures(request))
        route = resolve(request.model, wanted, self._table(), allowed)
        if isinstance(route, Unknown):
            raise unknown_model(route)
        if allowed is not None and route.model_id not in allowed:
            raise Forbidden(f"this key may not use model {route.model_id}", field="model")
        return route
