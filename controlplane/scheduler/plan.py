"""What to do about the difference between what is wanted and what is placed. A picture in, actions out. Pure.

Read as a ladder. A placement goes when it has retired, its node drains, nobody asks for it any more, or demand
placed it and it has been idle long enough: never while it serves a request, unless that lasted longer than a
drain may. A model comes when an admin asks for it or a request waits for it: a retiring placement is taken back,
else it is placed on the node that holds its file, if that one answers, has an engine, and has the memory; idle
models that only demand had placed make room, the one idle longest first. What cannot be is refused with the
reason, so that those who wait are told.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from controlplane.cluster import views
from controlplane.cluster.state import ClusterState, Desired, InstalledModel, NodeState, Why
from controlplane.scheduler import fit
from flockpy.config import Config
from flockpy.placement import Failed, Stopped

REFUSED_FOR_S = 30.0
"""A refusal stands for so long; then the model is tried again if it is still wanted."""

Idle = Mapping[str, float | None]
"""For each model, seconds since its last request ended; None while an engine serves one. Absent: not used yet."""


@dataclass(frozen=True, slots=True)
class Place:
    model_id: str
    node_id: str
    why: Why
    reason: str


@dataclass(frozen=True, slots=True)
class Revive:
    """Take a retiring placement back."""

    placement_id: str
    why: Why
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    placement_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """`at` is when that was found, on the leader's monotonic clock."""

    model_id: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Meet:
    """Those who waited for this model can be served."""

    model_id: str
    reason: str


Action = Place | Revive | Drop | Refuse | Meet


def plan(state: ClusterState, idle: Idle, config: Config, now: float) -> tuple[Action, ...]:
    """What to do now, in this order. Once done, there is nothing more to do until something changes."""
    planner = _Planner(state, idle, config, now)
    return (*planner.departures(), *planner.arrivals())


class _Planner:
    """The arguments of one `plan`, and what it has decided so far."""

    def __init__(self, state: ClusterState, idle: Idle, config: Config, now: float) -> None:
        self._state = state
        self._idle = idle
        self._config = config
        self._now = now
        self._views = {view.id: view for view in views.placements(state)}
        self._of_model: defaultdict[str, list[Desired]] = defaultdict(list)
        for desired in state.desired.values():
            self._of_model[desired.spec.model.id].append(desired)
        self._dropped: set[str] = set()
        self._refused: set[str] = set()

    def departures(self) -> Iterator[Action]:
        for desired in self._state.desired.values():
            reason = self._why_drop(desired)
            if reason is not None:
                yield self._drop(desired, reason)
                failure = self._final_failure(desired)
                if failure is not None and desired.retiring_since is None:
                    self._refused.add(desired.spec.model.id)
                    yield Refuse(desired.spec.model.id, failure, self._now)

    def arrivals(self) -> Iterator[Action]:
        for model in self._state.models.values():
            if self._wanted(model) and model.id not in self._refused:
                yield from self._satisfy(model)

    def _why_drop(self, desired: Desired) -> str | None:
        model = self._state.models.get(desired.spec.model.id)
        node = self._state.nodes[desired.node_id]
        busy = self._is_busy(desired)
        if desired.retiring_since is not None:
            if self._wanted(model) and not node.draining:
                return None
            return self._why_leave(busy, desired.retiring_since, "it retired")
        if node.draining:
            return self._why_leave(busy, node.draining_since or 0.0, f"node {node.hostname} is draining")
        if busy:
            return None
        if model is None:
            return "its model was removed"
        if model.replicas == 0 and self._final_failure(desired) is not None:
            return "it could not be loaded"  # what was asked for stays, to show that it failed
        if self._wanted(model):
            return None
        if desired.why == "asked":
            return "nobody asks for it any more"
        quiet = self._quiet(desired)
        return f"idle for {quiet:.0f} s" if quiet >= self._config.jit.cooldown_seconds else None

    def _why_leave(self, busy: bool, since: float, reason: str) -> str | None:
        if not busy:
            return f"{reason}, and its last request has ended"
        waited = self._now - since
        if waited >= self._config.scheduler.drain_timeout_seconds:
            return f"{reason}, and its requests have not ended within {waited:.0f} s"
        return None

    def _satisfy(self, model: InstalledModel) -> Iterator[Action]:
        here = self._of_model.get(model.id, [])
        staying = [d for d in here if d.retiring_since is None and self._stays(d)]
        demanded = model.id in self._state.demand
        if staying:
            if demanded:
                yield from self._answer_demand(model, staying[0])
            return
        why: Why = "asked" if model.replicas > 0 else "demand"
        reason = "an admin asks for it" if why == "asked" else "a request waits for it"
        retiring = next((d for d in here if d.retiring_since is not None and self._stays(d)), None)
        if retiring is not None:
            yield Revive(retiring.spec.id, why, reason)
            return
        refused = self._state.refused.get(model.id)
        if refused is not None and self._now - refused.at < REFUSED_FOR_S:
            if demanded:
                yield Refuse(model.id, refused.reason, refused.at)
            return
        yield from self._place(model, why, reason)

    def _answer_demand(self, model: InstalledModel, desired: Desired) -> Iterator[Action]:
        failure = self._final_failure(desired)
        if views.is_routable(self._views[desired.spec.id]):
            yield Meet(model.id, "it is ready")
        elif failure is not None:
            yield self._try_anew(model, desired, failure)
        elif (absent := self._absence(self._state.nodes[desired.node_id])) is not None:
            yield Refuse(model.id, absent, self._now)

    def _try_anew(self, model: InstalledModel, desired: Desired, failure: str) -> Action:
        """What stopped it may be gone: a failure stands as long as a refusal does."""
        refused = self._state.refused.get(model.id)
        if refused is None or self._now - refused.at < REFUSED_FOR_S:
            return Refuse(model.id, failure, refused.at if refused else self._now)
        return self._drop(desired, "it failed a while ago, and a request waits for it")

    def _place(self, model: InstalledModel, why: Why, reason: str) -> Iterator[Action]:
        node = self._state.nodes.get(model.node_id)
        if node is None:
            yield Refuse(model.id, "the node that holds its file is gone", self._now)
            return
        if node.draining:
            if why == "demand":
                yield Refuse(model.id, f"node {node.hostname}, which holds its file, is draining", self._now)
            return
        if node.health == "lost" or node.info is None:
            absent = self._absence(node)
            if why == "demand" and absent is not None:
                yield Refuse(model.id, absent, self._now)
            return
        lacking = _lacking_engine(node, model.engine)
        if lacking is not None:
            yield Refuse(model.id, lacking, self._now)
            return
        place = Place(model.id, node.id, why, reason)
        yield from (place,) if model.force else self._make_room(model, node, place)

    def _make_room(self, model: InstalledModel, node: NodeState, place: Place) -> Iterator[Action]:
        """Place it if it fits; else let idle models go, and place it when the node has reported them gone."""
        if node.info is None:
            return
        defaults = self._config.engine.defaults
        needed, total = fit.need(model, defaults), fit.capacity(node.info.hardware)
        beside = [d for d in self._state.desired.values() if d.node_id == node.id and self._stays(d)]
        sizes = [(d.spec.model.id, self._size(d.spec.model.id, d.spec.model.size_bytes)) for d in beside]
        sizes += [(p.model_id, p.memory_bytes) for p in node.placements if p.adopted]
        leaving = [
            (p.model_id, self._size(p.model_id, p.memory_bytes))
            for p in node.placements
            if not p.adopted and not isinstance(p.status, Stopped) and self._is_leaving(p.id)
        ]
        if fit.refusal(model.id, needed, total, (*sizes, *leaving)) is None:
            yield place
            return
        if (alone := fit.refusal(model.id, needed, total)) is not None:
            yield Refuse(model.id, f"{alone}; `--force` on adding it skips this check", self._now)
            return
        candidates = sorted((d for d in beside if self._may_go(d)), key=self._quiet, reverse=True)
        for desired in candidates:
            yield self._drop(
                desired, f"idle for {self._quiet(desired):.0f} s, and {model.id} needs its memory"
            )
            sizes = [(id, size) for id, size in sizes if id != desired.spec.model.id]
            if fit.refusal(model.id, needed, total, sizes) is None:
                return
        refused = fit.refusal(model.id, needed, total, sizes)
        if refused is not None:
            yield Refuse(model.id, refused, self._now)

    def _may_go(self, desired: Desired) -> bool:
        model = self._state.models.get(desired.spec.model.id)
        return desired.why == "demand" and not self._is_busy(desired) and not self._wanted(model)

    def _wanted(self, model: InstalledModel | None) -> bool:
        return model is not None and (model.replicas > 0 or model.id in self._state.demand)

    def _drop(self, desired: Desired, reason: str) -> Drop:
        self._dropped.add(desired.spec.id)
        return Drop(desired.spec.id, reason)

    def _stays(self, desired: Desired) -> bool:
        return desired.spec.id not in self._dropped and not self._state.nodes[desired.node_id].draining

    def _is_leaving(self, placement_id: str) -> bool:
        return placement_id not in self._state.desired or placement_id in self._dropped

    def _is_busy(self, desired: Desired) -> bool:
        return self._idle.get(desired.spec.model.id, inf) is None

    def _quiet(self, desired: Desired) -> float:
        """Seconds without a request, at most since it was placed."""
        idle = self._idle.get(desired.spec.model.id, inf)
        return min(inf if idle is None else idle, self._now - desired.since)

    def _final_failure(self, desired: Desired) -> str | None:
        status = self._views[desired.spec.id].status
        return status.reason if isinstance(status, Failed) and status.retry_in_s is None else None

    def _size(self, model_id: str, otherwise: int) -> int:
        model = self._state.models.get(model_id)
        return fit.need(model, self._config.engine.defaults) if model else otherwise

    def _absence(self, node: NodeState) -> str | None:
        """That a node is not heard any more; None when it is, or may yet be for the first time."""
        if node.health != "lost" or node.last_seen is None:
            return None
        return f"node {node.hostname} has not been heard for {self._now - node.last_seen:.0f} s"


def _lacking_engine(node: NodeState, engine: str) -> str | None:
    engines = node.info.engines if node.info else ()
    if any(e.available and engine in ("", e.name) for e in engines):
        return None
    reasons = "; ".join(
        f"{e.name}: {e.reason or 'not the one it asks for'}" for e in engines if not e.available
    )
    what = f"engine {engine}" if engine else "an engine"
    return f"node {node.hostname} does not have {what}" + (f" ({reasons})" if reasons else "")
