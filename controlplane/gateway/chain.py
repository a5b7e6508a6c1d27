"""The models a request may be served by, in order: when one fails before its first byte, the next is asked."""

import asyncio
from collections.abc import Callable, Mapping

from controlplane.gateway.dispatch import Dispatcher
from controlplane.gateway.hosted import HostedForwarder, Refused
from controlplane.gateway.job import Job
from controlplane.gateway.legs import Leg
from controlplane.routing.latency import Latencies
from controlplane.routing.resolve import find
from controlplane.routing.table import Route, RoutingTable
from flockpy.clock import Clock
from flockpy.errors import BadRequest, EngineDied, EngineUnreachable, FlockError, Overloaded

FAILURES = (Overloaded, EngineUnreachable, EngineDied)
"""What another model may do better; everything else is the request's own fault."""

Prepare = Callable[[Job, Route], Leg]


class Chain:
    """`chains`: by model, those to be asked after it. `timeout_s`: how long a model that is not the last may take to
    its first byte. `slow_s`: a model whose 95th percentile of that was lately above it goes to the end; 0: never."""

    def __init__(
        self,
        *,
        table: Callable[[], RoutingTable],
        dispatcher: Dispatcher,
        hosted: HostedForwarder,
        chains: Mapping[str, tuple[str, ...]],
        timeout_s: float,
        slow_s: float,
        clock: Clock,
    ) -> None:
        self._table = table
        self._dispatcher = dispatcher
        self._hosted = hosted
        self._chains = chains
        self._timeout_s = timeout_s
        self._latencies = Latencies(slow_s)
        self._clock = clock

    async def serve(self, job: Job, prepare: Prepare) -> None:
        """See a request through to its answer. `prepare` makes the way to a further model.

        Raises FlockError, Refused, ClientGone.
        """
        further = self._chains.get(job.route.model_id)
        if further is None:
            await self._ask(job)
            return
        routes = self._in_order(job, further)
        failure: FlockError | Refused | None = None
        for route in routes:
            if route is not job.route:
                try:
                    job.take(prepare(job, route))
                except BadRequest:  # what the model asked for would have taken is not held against its client
                    continue
            try:
                await (self._ask(job) if route is routes[-1] else self._ask_in_time(job))
            except (*FAILURES, Refused) as error:
                said = error.error if isinstance(error, Refused) else error
                given_up = job.call.first_byte is not None or job.call.cancelled_by
                if given_up or route is routes[-1] or not isinstance(said, FAILURES):
                    raise
                job.call.hops = (*job.call.hops, f"{route.model_id}:{said.code}")
                failure = error
            else:
                self._observe(job)
                return
        if failure is not None:
            raise failure

    def _in_order(self, job: Job, further: tuple[str, ...]) -> list[Route]:
        """The model asked for and those behind it that can serve this request, slow ones last."""
        table, call = self._table(), job.call
        allowed = call.key.models if call.key else None
        routes = [job.route]
        for model_id in further:
            route = find(model_id, table)
            if route is None or route in routes or (allowed is not None and route.model_id not in allowed):
                continue
            if route.vendor and self._hosted.manner(call.surface, route) is None:
                continue
            if call.surface.capability in route.capabilities:
                routes.append(route)
        now = self._clock.monotonic()
        slow = [route for route in routes if self._latencies.is_slow(route.model_id, now)]
        if 0 < len(slow) < len(routes):
            routes = [route for route in routes if route not in slow] + slow
            if routes[0] is not job.route:
                call.hops = (f"{job.route.model_id}:slow",)
        return routes

    async def _ask(self, job: Job) -> None:
        if job.route.vendor:
            await self._hosted.serve(job)
        else:
            await self._dispatcher.serve(job)

    async def _ask_in_time(self, job: Job) -> None:
        """Raises EngineUnreachable when nothing has come within `timeout_s`."""
        task, call = asyncio.current_task(), job.call
        expired = False

        def expire() -> None:
            nonlocal expired
            if call.first_byte is None and not (call.events and call.events()) and task is not None:
                expired = True
                task.cancel()

        timer = asyncio.get_running_loop().call_later(self._timeout_s, expire)
        try:
            await self._ask(job)
        except asyncio.CancelledError:
            if not expired or task is None or task.uncancel():
                raise
            raise EngineUnreachable(
                f"model {job.route.model_id} gave no answer within {self._timeout_s:g} s", retry_after=5
            ) from None
        finally:
            timer.cancel()

    def _observe(self, job: Job) -> None:
        call = job.call
        if call.first_byte is not None:
            took = call.first_byte - call.started
            self._latencies.observe(call.model, took, self._clock.monotonic())
