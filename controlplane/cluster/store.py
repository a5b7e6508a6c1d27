"""The single writer of the cluster's picture. All of the leader reads `Cluster.state`, an immutable snapshot.

`apply` changes memory at once, on the event loop, and tells the subscribers before it returns; `commit` also
has the lasting part on disk before it returns. Nothing else writes.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from controlplane.cluster.apply import apply
from controlplane.cluster.durable import Changes, Durable, difference, durable, restore
from controlplane.cluster.events import (
    DemandMet,
    DemandRaised,
    Event,
    HealthChecked,
    ModelRefused,
    NodeReported,
)
from controlplane.cluster.state import ClusterState
from controlplane.cluster.views import desired_of
from flockpy.clock import Clock
from flockpy.errors import NotFound, Overloaded
from flockpy.ids import Entropy
from flockpy.wire import DesiredState

Subscriber = Callable[[ClusterState], None]

_OBSERVED = (NodeReported, HealthChecked, DemandRaised, DemandMet, ModelRefused)
"""Events that change nothing lasting but, perhaps, a node's host name, which can wait for the next that does."""


class ClusterRepo(Protocol):
    """Where the lasting part is kept."""

    async def load(self) -> Durable:
        """Everything kept."""
        ...

    async def save(self, changes: Changes) -> None:
        """Write `changes` in one transaction; writing the same ones twice is harmless."""
        ...


class Cluster:
    """The picture, its one writer, and those who wait for it to change."""

    def __init__(self, state: ClusterState, repo: ClusterRepo, clock: Clock, entropy: Entropy) -> None:
        self.clock = clock
        self.entropy = entropy
        self._state = state
        self._repo = repo
        self._kept = durable(state)
        self._unsaved = False
        self._closed = False
        self._writing = asyncio.Lock()
        self._subscribers: list[Subscriber] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self._waiting_of_node: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    @classmethod
    async def open(cls, repo: ClusterRepo, clock: Clock, entropy: Entropy) -> "Cluster":
        """The cluster as kept, in a new epoch; no node has been heard yet."""
        state = restore(await repo.load(), epoch=entropy(8).hex(), now=clock.monotonic())
        return cls(state, repo, clock, entropy)

    @property
    def state(self) -> ClusterState:
        """The present picture; a reader takes it once and works on that."""
        return self._state

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have `subscriber` called with each new picture, synchronously; answers what ends that."""
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def apply(self, event: Event) -> ClusterState:
        """Take note of `event` in memory; answers the new picture. `flush` puts the lasting part on disk."""
        before, self._state = self._state, apply(self._state, event)
        if not isinstance(event, _OBSERVED):
            self._unsaved = True
        if self._state.version != before.version:
            self._publish(before)
        return self._state

    async def commit(self, *events: Event) -> ClusterState:
        """`apply`, and return once the lasting part is on disk. Raises what the store raises."""
        for event in events:
            self.apply(event)
        await self.flush()
        return self._state

    async def flush(self) -> None:
        """Return once the lasting part of the present picture is on disk; cheap when it is already."""
        async with self._writing:
            if not self._unsaved:
                return
            self._unsaved = False
            kept = durable(self._state)
            try:
                if changes := difference(self._kept, kept):
                    await self._repo.save(changes)
            except BaseException:
                self._unsaved = True
                raise
            self._kept = kept

    def raise_demand(self, model_id: str) -> None:
        """A request waits for this installed model; the scheduler will see to it."""
        self.apply(DemandRaised(model_id))

    async def changed(self, after_version: int, within: float) -> ClusterState:
        """The first picture with a higher version, or the present one `within` seconds from now."""
        deadline = self.clock.monotonic() + within
        while self._state.version <= after_version and not self._closed:
            if not await _wait(self._waiting, deadline - self.clock.monotonic()):
                break
        return self._state

    def desired_for(self, node_id: str) -> DesiredState:
        """Everything this node should run. Raises NotFound when there is no such node."""
        node = self._state.nodes.get(node_id)
        if node is None:
            raise NotFound(f"There is no node {node_id}.", hint="flockpy node ls")
        return DesiredState(self._state.epoch, node.generation, desired_of(self._state, node_id))

    async def wait_desired(self, node_id: str, epoch: str, generation: int, within: float) -> DesiredState:
        """`desired_for` as soon as it differs from what the node knows, or as it is `within` seconds on.

        Raises NotFound when there is no such node, or no longer; Overloaded when the leader shuts down.
        """
        deadline = self.clock.monotonic() + within
        known = epoch, generation
        while (desired := self.desired_for(node_id)) and (desired.epoch, desired.generation) == known:
            if self._closed:
                raise Overloaded("The leader is shutting down.", retry_after=1)
            if not await _wait(self._waiting_of_node[node_id], deadline - self.clock.monotonic()):
                break
        return desired

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """The leader shuts down: nobody waits any more. Nodes that ask for orders are told to come back."""
        self._closed = True
        _wake(self._waiting)
        for waiting in self._waiting_of_node.values():
            _wake(waiting)

    def _publish(self, before: ClusterState) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(self._state)
        _wake(self._waiting)
        if self._state.generation != before.generation:
            for node_id, waiting in self._waiting_of_node.items():
                if _generation(self._state, node_id) != _generation(before, node_id):
                    _wake(waiting)


def _generation(state: ClusterState, node_id: str) -> int | None:
    node = state.nodes.get(node_id)
    return node.generation if node else None


async def _wait(waiting: set[asyncio.Future[None]], within: float) -> bool:
    """Wait to be woken; False when `within` seconds have passed first."""
    future = asyncio.get_running_loop().create_future()
    waiting.add(future)
    try:
        async with asyncio.timeout(max(within, 0)):
            await future
    except TimeoutError:
        return False
    finally:
        waiting.discard(future)
    return True


def _wake(waiting: set[asyncio.Future[None]]) -> None:
    for future in waiting:
        if not future.done():
            future.set_result(None)
