"""The models a request may be served by, in order: when one fails before its first byte, the next is asked."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from controlplane.gateway.dispatch import Dispatcher
from controlplane.gateway.job import ClientGone, Job
from controlplane.gateway.legs import Leg
from controlplane.gateway.vendor_forward import VendorForwarder
from controlplane.gateway.vendor_refusal import Refused
from controlplane.routing.chains import Chains, behind, by_model
from controlplane.routing.latency import Latencies
from controlplane.routing.table import Route, RoutingTable
from flockpy.clock import Clock
from flockpy.errors import (
    BadRequest,
    BodyTooLarge,
    EngineDied,
    EngineUnreachable,
    FlockError,
    LeaderRefused,
    Overloaded,
    QuotaSpent,
    UnknownModel,
)
from flockpy.telemetry.metrics import Metrics

FAILURES: Final = (Overloaded, EngineUnreachable, EngineDied)
"""What another model may do better; everything else is the request's own fault."""
_LIMITS: Final = (BadRequest, BodyTooLarge, UnknownModel)
"""What only says of a model further back that it cannot stand in: nobody asked for that one."""

Prepare = Callable[[Job, Route], Leg]
_Passed = tuple[Route, str]
"""A model that was passed over, and why."""


class Late(EngineUnreachable):
    """A model was given up because its first byte was too long in coming."""


class Chain:
    """`configured` (see `routing.chains`) go over `shipped`, those of the catalog by model id.

    `timeout_s`: how long a model that is not the last may take to its first byte, waiting in line and being loaded
    included. `slow_s`: a model whose 95th percentile of that was lately above it goes to the end; 0: never.
    """

    def __init__(
        self,
        *,
        table: Callable[[], RoutingTable],
        dispatcher: Dispatcher,
        vendors: VendorForwarder,
        configured: Chains,
        shipped: Chains,
        timeout_s: float,
        slow_s: float,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._current_table = table
        self._table: RoutingTable | None = None  # the one that `_by_model` was made of
        self._dispatcher = dispatcher
        self._vendors = vendors
        self._configured = configured
        self._shipped = shipped
        self._by_model: Chains = {}
        self._timeout_s = timeout_s
        self._latencies = Latencies(slow_s)
        self._metrics = metrics
        self._clock = clock

    async def serve(self, job: Job, prepare: Prepare) -> None:
        """See a request through to its answer. `prepare` makes the way to a further model, or says why there is none
        by BadRequest or QuotaSpent.

        Raises FlockError, Refused, ClientGone: when nobody could answer, what tells most of why.
        """
        table = self._current_table()
        if table is not self._table:  # what the names in chains stand for has changed
            self._table, self._by_model = table, {**self._shipped, **by_model(self._configured, table)}
        asked = job.leg.route
        further = self._by_model.get(asked.model_id) or asked.chain
        routes = self._in_order(job, behind(asked, further, table)) if further else []
        if len(routes) < 2:
            await self._ask(job)
        else:
            await self._ask_in_turn(job, routes, prepare)

    async def _ask_in_turn(self, job: Job, routes: list[Route], prepare: Prepare) -> None:
        asked, call = job.leg.route, job.call
        failures: list[FlockError | Refused] = []
        passed: _Passed | None = (asked, "slow") if routes[0] is not asked else None
        for route in routes:
            if route is not job.leg.route:
                try:
                    job.take(prepare(job, route))
                except (BadRequest, QuotaSpent):
                    if route is asked and not failures:
                        raise
                    continue  # the model asked for might have taken it: nobody is to blame
            if passed and passed[0] is not route:
                self._pass_over(job, *passed, to=route)
            began = self._clock.monotonic()
            try:
                await (self._ask(job) if route is routes[-1] else self._ask_in_time(job))
            except (FlockError, Refused) as error:
                said = error.error if isinstance(error, Refused) else error
                if call.first_byte is not None:
                    raise
                if call.cancelled_by:
                    raise ClientGone from None
                if isinstance(said, FAILURES):
                    failures.append(error)
                elif route is asked or not isinstance(said, _LIMITS):
                    raise
                passed = route, _reason(said)
            else:
                self._observe(route, began, call.first_byte)
                return
        raise _nobody_answered(job, failures, passed)

    def _in_order(self, job: Job, further: tuple[Route, ...]) -> list[Route]:
        """The model asked for and those behind it that can serve this request, slow ones last."""
        call = job.call
        allowed = call.key.models if call.key else None
        routes = [job.leg.route]
        for route in further:
            if allowed is not None and route.model_id not in allowed:
                continue
            if route.vendor and self._vendors.manner(call.surface, route) is None:
                continue
            if call.surface.capability in route.capabilities:
                routes.append(route)
        now = self._clock.monotonic()
        return sorted(routes, key=lambda route: self._latencies.is_slow(route.model_id, now))

    def _ask(self, job: Job) -> Coroutine[None, None, None]:
        return self._vendors.serve(job) if job.leg.route.vendor else self._dispatcher.serve(job)

    async def _ask_in_time(self, job: Job) -> None:
        """Raises Late when nothing has come within `timeout_s`."""
        task, call, tried = asyncio.current_task(), job.call, len(job.call.attempts)
        expired = False

        def expire() -> None:
            nonlocal expired
            if call.first_byte is None and not (call.events and call.events()) and task is not None:
                expired = True
                task.cancel()

        began = self._clock.monotonic()
        timer = asyncio.get_running_loop().call_later(self._timeout_s, expire)
        try:
            await self._ask(job)
        except asyncio.CancelledError:
            if not expired or task is None or task.uncancel():
                raise
            self._observe(job.leg.route, began, self._clock.monotonic())
            late = Late(
                f"model {job.leg.route.model_id} gave no answer within {self._timeout_s:g} s", retry_after=5
            )
            for attempt in call.attempts[tried:]:
                attempt.error = attempt.error or late.message
            raise late from None
        finally:
            timer.cancel()

    def _pass_over(self, job: Job, route: Route, reason: str, *, to: Route) -> None:
        job.call.hops = (*job.call.hops, f"{route.model_id}:{reason}")
        self._metrics.fallbacks.labels(route.label or route.model_id, to.label or to.model_id, reason).inc()

    def _observe(self, route: Route, began: float, first_byte: float | None) -> None:
        if first_byte is not None:
            self._latencies.observe(route.model_id, first_byte - began, self._clock.monotonic())


def _nobody_answered(
    job: Job, failures: list[FlockError | Refused], passed: _Passed | None
) -> FlockError | Refused:
    """What its client is told: what one says to do at home, which no later one would, else the last."""
    call = job.call
    last = call.attempts[-1].decision.model_id if call.attempts else ""
    if passed and last != call.model:  # else it is named as the one that was asked
        call.hops = (*call.hops, f"{passed[0].model_id}:{passed[1]}")
    told = next(filter(_is_for_home, failures), failures[-1])
    return told.error if isinstance(told, Refused) and job.reply.started else told


def _reason(error: FlockError) -> str:
    """Why a model was passed over, as a word. Clients are told that a vendor whose key is wrong is unreachable; whoever
    runs the leader can mend it."""
    if isinstance(error, Late):
        return "timeout"
    return error.why if isinstance(error, LeaderRefused) else error.code


def _is_for_home(error: FlockError | Refused) -> bool:
    return isinstance(error, EngineUnreachable) and error.hint is not None and not isinstance(error, Late)
