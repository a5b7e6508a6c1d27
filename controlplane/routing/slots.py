"""Who is being served and who waits: the gateway's own count of requests per placement, and a bounded queue per model.

A claim is a guard: however its request ends, `release` frees the slot and hands it to the first waiter that can use it.
A newcomer never overtakes a waiter. Everything runs on one event loop, so nothing here needs a lock.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controlplane.routing.policy import NotLoaded, RouteDecision, Saturated, choose
from controlplane.routing.table import Replica, RoutingTable
from flockpy.errors import Overloaded

_NOTHING: Mapping[str, str] = {}
SUSPECT_S = 1.0
"""How long a placement is avoided after it refused a connection, unless its agent reports it anew before."""


class Claim:
    """One slot of one placement, held by one request."""

    __slots__ = ("_held", "_slots", "decision")

    def __init__(self, slots: "Slots", decision: RouteDecision) -> None:
        self._slots = slots
        self._held = True
        self.decision = decision

    def release(self) -> None:
        """Give the slot back; only the first call counts."""
        if self._held:
            self._held = False
            self._slots.released(self.decision)


class Waiter:
    """A place in the queue of a model. `future` gets the claim when it is its turn."""

    __slots__ = ("future", "model_id")

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id
        self.future: asyncio.Future[Claim] = asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True)
class _Suspicion:
    """`replica` is what was found wanting; another one under the same id is another matter."""

    replica: Replica
    reason: str
    end: asyncio.TimerHandle


class Slots:
    """`table` answers the current routing table; `depth` bounds the queue of each model."""

    def __init__(self, table: Callable[[], RoutingTable], *, depth: int) -> None:
        self._table = table
        self._depth = depth
        self._in_flight: dict[str, int] = {}
        self._models: dict[str, int] = {}
        self._queues: dict[str, deque[Waiter]] = {}
        self._last_used: dict[str, float] = {}
        self._suspects: dict[str, _Suspicion] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def in_flight(self) -> Mapping[str, int]:
        """Requests on each placement now."""
        return self._in_flight

    def queued(self, model_id: str) -> int:
        return len(self._queues.get(model_id, ()))

    def position(self, waiter: Waiter) -> int:
        """1 for the next to be served; 0 when it waits no more."""
        queue = self._queues.get(waiter.model_id, deque())
        return queue.index(waiter) + 1 if waiter in queue else 0

    def idle(self, now: float) -> dict[str, float | None]:
        """Seconds since the last use of each model asked for so far; None while requests of it run. `now` is the event
        loop's time."""
        return {
            model: None if model in self._models else now - last for model, last in self._last_used.items()
        }

    def claim(self, model_id: str) -> Claim | Saturated | NotLoaded:
        """A slot at once, or why there is none. Whoever gets no slot may `enqueue`."""
        if self._queues.get(model_id):
            return Saturated(())
        return self._try(model_id)

    def enqueue(self, model_id: str) -> Waiter:
        """Wait in line. Raises Overloaded when the line is full."""
        queue = self._queues.setdefault(model_id, deque())
        if len(queue) >= self._depth:
            raise Overloaded(
                f"the queue of model {model_id} is full ({self._depth} requests wait)", retry_after=5
            )
        waiter = Waiter(model_id)
        queue.append(waiter)
        self._last_used[model_id] = self._loop.time()
        return waiter

    def abandon(self, waiter: Waiter) -> None:
        """Leave the line; a slot that was handed over in the same moment is given back."""
        queue = self._queues.get(waiter.model_id)
        if queue and waiter in queue:
            queue.remove(waiter)
        if waiter.future.done() and not waiter.future.cancelled():
            waiter.future.result().release()
        waiter.future.cancel()

    def suspect(self, placement_id: str, reason: str) -> None:
        """Avoid a placement for `SUSPECT_S`: it refused a connection or died before its first byte."""
        replica = self._replicas().get(placement_id)
        if replica is None:
            return
        if known := self._suspects.get(placement_id):
            known.end.cancel()
        end = self._loop.call_later(SUSPECT_S, self._trust, placement_id)
        self._suspects[placement_id] = _Suspicion(replica, reason, end)

    def table_changed(self) -> None:
        """The routing table is a new one: forget suspicions of what has changed, serve whoever can be served now."""
        if self._suspects:
            replicas = self._replicas()
            for placement_id, suspicion in tuple(self._suspects.items()):
                if replicas.get(placement_id) != suspicion.replica:
                    self._suspects.pop(placement_id).end.cancel()
        self.serve_waiters()

    def _trust(self, placement_id: str) -> None:
        del self._suspects[placement_id]
        self.serve_waiters()

    def _replicas(self) -> dict[str, Replica]:
        return {r.placement_id: r for route in self._table().routes.values() for r in route.replicas}

    def released(self, decision: RouteDecision) -> None:
        placement, model = decision.replica.placement_id, decision.replica.model_id
        for counts, key in ((self._in_flight, placement), (self._models, model)):
            counts[key] -= 1
            if not counts[key]:
                del counts[key]
        self._last_used[model] = self._loop.time()
        if self._queues.get(model):
            self._serve(model)

    def serve_waiters(self) -> None:
        for model_id in list(self._queues):
            self._serve(model_id)

    def _serve(self, model_id: str) -> None:
        queue = self._queues[model_id]
        while queue:
            if queue[0].future.done():
                queue.popleft()
                continue
            claim = self._try(model_id)
            if not isinstance(claim, Claim):
                return
            queue.popleft().future.set_result(claim)
        del self._queues[model_id]

    def _try(self, model_id: str) -> Claim | Saturated | NotLoaded:
        route = self._table().routes.get(model_id)
        if route is None:
            return NotLoaded(())
        suspects = self._suspects
        avoid = {placement: s.reason for placement, s in suspects.items()} if suspects else _NOTHING
        choice = choose(route, self._in_flight, avoid)
        if not isinstance(choice, RouteDecision):
            return choice
        placement = choice.replica.placement_id
        self._in_flight[placement] = self._in_flight.get(placement, 0) + 1
        self._models[model_id] = self._models.get(model_id, 0) + 1
        self._last_used[model_id] = self._loop.time()
        return Claim(self, choice)
