"""From an admitted request to a claimed slot and an engine that answers: waiting in line, and trying again before
the first byte."""

import asyncio
from collections.abc import Callable
from typing import Final

from controlplane.gateway.forward import Forwarder, NotServed
from controlplane.gateway.job import ClientGone, Job
from controlplane.routing.policy import NotLoaded, Saturated
from controlplane.routing.slots import Claim, Slots
from controlplane.routing.table import Replica, RoutingTable
from flockpy.clock import Clock
from flockpy.config import Config
from flockpy.engines import start_command
from flockpy.errors import EngineUnreachable, Overloaded, UnknownModel, without_paths

CONNECTS: Final = 3
"""Placements tried, or one placement tried anew, before a request that no engine accepted is given up."""
BREAKS: Final = 2
"""Engines a request may take down before its first byte; more would be the request's own fault."""
TICK_S: Final = 1.0


class Dispatcher:
    """`raise_demand` asks the scheduler to load a model."""

    def __init__(
        self,
        *,
        config: Config,
        table: Callable[[], RoutingTable],
        slots: Slots,
        forwarder: Forwarder,
        raise_demand: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self._config = config
        self._table = table
        self._slots = slots
        self._forwarder = forwarder
        self._raise_demand = raise_demand
        self._clock = clock

    async def serve(self, job: Job) -> None:
        """See a request through to its answer. Raises FlockError, ClientGone."""
        connects = breaks = 0
        while True:
            claim = self._slots.claim(job.leg.route.model_id)
            if not isinstance(claim, Claim):
                claim = await self._claim_later(job, claim)
            replica = claim.decision.replica
            job.call.node_id, job.call.node_name = replica.node_id, replica.node_name
            job.call.stage = "prefilling"
            try:
                await self._forwarder.forward(job, claim.decision)
                return
            except NotServed as error:
                self._slots.suspect(replica.placement_id, str(error))
                connects, breaks = connects + (not error.sent), breaks + error.sent
                if connects >= CONNECTS or breaks >= BREAKS:
                    raise EngineUnreachable(
                        f"the engine {replica.engine} of model {replica.model_id} on {replica.node_name} "
                        f"at {replica.endpoint.url} does not answer: {error}",
                        hint=_how_to_start(replica),
                        retry_after=2,
                    ) from None
            finally:
                claim.release()

    async def _claim_later(self, job: Job, why: Saturated | NotLoaded) -> Claim:
        since = self._clock.monotonic()
        if isinstance(why, NotLoaded):
            self.want(job.leg.route.model_id)
        claim = await self._wait(job)
        job.call.queue_s += self._clock.monotonic() - since
        return claim

    def want(self, model_id: str) -> None:
        """See to it that an unloaded model gets loaded. Raises FlockError where nothing would come of waiting."""
        route = self._table().routes.get(model_id)
        if route is None:
            raise UnknownModel(f"model {model_id} is not there any more", field="model")
        if route.failure is not None:
            self._raise_demand(model_id)  # what stood in the way may be gone: the next request will know
            raise EngineUnreachable(
                f"model {model_id} cannot be served: {without_paths(route.failure)}",
                hint="it is found by itself once it runs again"
                if route.adopted
                else f"once that is mended: flockpy model load {model_id}",
                retry_after=30,
            )
        if route.loading or route.replicas:
            return
        if not self._config.jit.enabled:
            raise Overloaded(
                f"model {model_id} is not loaded, and loading on demand is switched off",
                hint=f"flockpy model load {model_id}",
                retry_after=30,
            )
        self._raise_demand(model_id)

    async def _wait(self, job: Job) -> Claim:
        """Stand in line for a slot. Raises Overloaded when the line is full or takes too long."""
        call, model_id = job.call, job.leg.route.model_id
        longest = self._config.limits.queue_wait_seconds
        deadline = self._clock.monotonic() + longest
        waiter = self._slots.enqueue(model_id)
        call.stage, call.position = "queued", lambda: self._slots.position(waiter)
        call.on_cancel = waiter.future.cancel
        try:
            while True:
                left = deadline - self._clock.monotonic()
                await asyncio.wait((waiter.future,), timeout=min(TICK_S, max(left, 0.0)))
                if call.cancelled_by:
                    raise ClientGone
                if waiter.future.done():
                    return waiter.future.result()
                route = self._table().routes.get(model_id)
                ready = route is not None and bool(route.replicas)
                if not ready:
                    self.want(model_id)
                if left <= TICK_S and self._clock.monotonic() >= deadline:
                    state = "all its slots are busy" if ready else "it is still loading"
                    raise Overloaded(f"no slot of model {model_id} in {longest:g} s: {state}", retry_after=10)
                job.reply.tick(self._clock.monotonic())
        except BaseException:
            self._slots.abandon(waiter)
            raise
        finally:
            call.position = call.on_cancel = None


def _how_to_start(replica: Replica) -> str:
    if replica.adopted and (command := start_command(replica.engine)):
        return f"start it again where it ran, such as: {command}"
    return f"flockpy starts it again; what happened: flockpy logs {replica.model_id}"
