"""The life of a request: route → admit → forward → settle. No database, no lock, one exit for every ending."""

from collections.abc import Callable
from functools import partial
from typing import Final

from controlplane.gateway.asked import Headers
from controlplane.gateway.call import Call, Calls
from controlplane.gateway.chain import Chain
from controlplane.gateway.dispatch import Dispatcher
from controlplane.gateway.job import ClientGone, Job
from controlplane.gateway.legs import Leg, to_cluster, to_vendor
from controlplane.gateway.reply import Reply
from controlplane.gateway.vendor_forward import VendorForwarder
from controlplane.gateway.vendor_refusal import Refused
from controlplane.protocols.base import Inbound, Surface
from controlplane.protocols.ir import Meta
from controlplane.protocols.ollama import OllamaSurface
from controlplane.protocols.ollama_request import idle_reason
from controlplane.protocols.translated import Neutral
from controlplane.routing.resolve import Unknown, Wanted, is_auto, near_names, resolve
from controlplane.routing.table import Route, RoutingTable
from controlplane.tenants.meter import Admission, Meter, Ticket
from flockpy.aliases import MAX_CHARS
from flockpy.clock import Clock
from flockpy.errors import BadRequest, FlockError, Forbidden, Overloaded, UnknownModel
from flockpy.telemetry.metrics import Metrics

LEFT: Final = 499
"""The status of a client that left before it got one."""


class Pipeline:
    def __init__(
        self,
        *,
        table: Callable[[], RoutingTable],
        dispatcher: Dispatcher,
        vendors: VendorForwarder,
        chain: Chain,
        meter: Meter,
        calls: Calls,
        metrics: Metrics,
        clock: Clock,
        unmended: frozenset[str] = frozenset(),
    ) -> None:
        """`unmended`: models whose answers pass as they are; ``*`` is all of them."""
        self._unmended = unmended
        self._table = table
        self._dispatcher = dispatcher
        self._vendors = vendors
        self._chain = chain
        self._meter = meter
        self._calls = calls
        self._metrics = metrics
        self._clock = clock

    async def run(self, call: Call, body: bytes, headers: Headers, traceparent: bytes, reply: Reply) -> None:
        """Serve one authenticated request to its end; `headers` are the client's, `traceparent` is checked.

        Raises FlockError for what is refused before admission; everything later is answered here.
        """
        inbound = call.surface.parse(body)
        route = self._resolve(call, inbound)
        if (
            isinstance(inbound, Neutral)
            and isinstance(inbound.told, OllamaSurface)
            and not inbound.request.messages
        ):
            if idle_reason(body) == "load" and not route.vendor:  # that is all such a request is for
                self._dispatcher.want(route.model_id)
            meta = Meta(call.request_id, call.asked_model or call.model, int(call.time))
            reply.whole(200, inbound.told.stream_type, inbound.told.idle(body, meta))
            return
        leg = self._leg(call.surface, inbound, body, route)
        admission = self._admit(call, inbound, route, len(body))
        job = Job(
            call, inbound, body, headers, traceparent, admission, reply, self._metrics, self._clock, leg
        )
        self._calls.add(call)
        try:
            job.take(leg)
            await self._chain.serve(job, partial(self._further, asked=route))
        except ClientGone:
            given_up = Overloaded(f"the request was cancelled by {call.cancelled_by}")
            left = call.cancelled_by == "client"
            job.settle("cancelled", 200 if reply.started else LEFT if left else call.surface.status(given_up))
            if not left:
                reply.error(given_up)
        except Refused as answer:
            job.settle("refused" if answer.status < 500 else "failed", answer.status)
            reply.passed = answer.passed
            reply.whole(answer.status, answer.content_type, answer.body)
        except FlockError as error:
            refused = call.first_byte is None and (error.status < 500 or isinstance(error, Overloaded))
            job.settle(
                "refused" if refused else "failed", 200 if reply.started else call.surface.status(error)
            )
            reply.error(error)
        finally:
            job.settle("failed", 500)
            self._calls.finish(call)

    def _leg(
        self, surface: Surface, inbound: Inbound, body: bytes, route: Route, *, told: bool = False
    ) -> Leg:
        """The way to a model; `told`: in our words, whatever its vendor speaks, as the client may have heard the
        beginning of an answer in them.

        Raises BadRequest.
        """
        if not route.vendor:
            mends = not (self._unmended and self._unmended & {route.model_id, "*"})
            return to_cluster(surface, inbound, body, route, mends=mends)
        manner = self._vendors.manner(surface, route, inbound.fields)
        if manner == "native" and told:
            manner = "translated"
        return to_vendor(surface, inbound, body, route, manner)

    def _further(self, job: Job, route: Route, *, asked: Route) -> Leg:
        """The way to a model further back, paid for. Raises BadRequest, QuotaSpent."""
        told = job.reply.started and job.encoder is not None
        # A vendor refuses what it does not know: a chat that was written for another is said in words that it does.
        if job.call.surface.name == "chat" and asked.vendor != route.vendor and job.asked.choices == 1:
            told = True
        if "vision" not in route.capabilities and job.call.surface.wanted(job.asked).vision:
            raise BadRequest(f"model {route.model_id} does not see pictures", field="messages")
        leg = self._leg(job.call.surface, job.asked, job.asked_body, route, told=told)
        job.admission.turn_to(route.model_id, route.context_window)
        return leg

    def _resolve(self, call: Call, inbound: Inbound) -> Route:
        """The model asked for. Raises UnknownModel, Forbidden, BadRequest."""
        call.asked_model = inbound.model
        call.stream = inbound.stream and not call.surface.opaque
        table, allowed = self._table(), call.key.models if call.key else None
        route: Route | Unknown | None = table.routes.get(inbound.model)
        if route is None and len(inbound.model) > MAX_CHARS:
            call.asked_model = ""  # receipts live long
            raise unknown_model(Unknown(inbound.model, near_names(inbound.model, table, allowed)))
        if route is None:
            wanted = Wanted(call.surface.capability)
            if is_auto(inbound.model, table):
                wanted = call.surface.wanted(inbound)
            route = resolve(inbound.model, wanted, table, allowed)
        if isinstance(route, Unknown):
            raise unknown_model(route)
        if allowed is not None and route.model_id not in allowed:
            raise Forbidden(
                f"this key may not use model {route.model_id}",
                field="model",
                hint=f"it may use: {', '.join(sorted(allowed))}",
            )
        call.model = route.model_id
        if call.surface.capability not in route.capabilities:
            raise BadRequest(
                f"model {route.model_id} does not offer {call.surface.capability}",
                field="model",
                hint=f"it offers: {', '.join(route.capabilities)}",
            )
        return route

    def _admit(self, call: Call, inbound: Inbound, route: Route, size: int) -> Admission:
        """Reserve the key's quota. Raises QuotaSpent."""
        tokens = inbound.max_tokens * inbound.choices if inbound.max_tokens is not None else None
        return self._meter.admit(
            Ticket(
                request_id=call.request_id,
                time=call.time,
                key=call.key,
                model=route.model_id,
                surface=call.surface.name,
                stream=inbound.stream,
                prompt_bytes=0 if call.surface.opaque else size,
                max_tokens=tokens,
                context_window=route.context_window,
                choices=inbound.choices,
            )
        )


def unknown_model(unknown: Unknown) -> UnknownModel:
    """What a client is told of a name that leads nowhere."""
    if unknown.why:
        return UnknownModel(unknown.why, field="model", hint="install one: flockpy model add file:PATH")
    near = f"; perhaps you meant: {', '.join(unknown.near)}" if unknown.near else ""
    return UnknownModel(
        f"there is no model {unknown.name[:200]!r}{near}", field="model", hint="all of them: flockpy model ls"
    )
