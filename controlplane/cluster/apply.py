"""The next picture of the cluster after one event. Pure.

An event that changes nothing answers the very same state; one that only proves a node alive keeps `version`.
Events that name something unknown change nothing: whoever raised them looked before, and the world moved on.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar, assert_never

import msgspec

from controlplane.cluster.events import (
    AliasRemoved,
    AliasSet,
    DemandMet,
    DemandRaised,
    Event,
    HealthChecked,
    ModelInstalled,
    ModelRefused,
    ModelRemoved,
    ModelScaled,
    NodeDrained,
    NodeRegistered,
    NodeRemoved,
    NodeReported,
    NodeUndrained,
    PlacementDropped,
    PlacementRetired,
    PlacementWanted,
)
from controlplane.cluster.state import ClusterState, Health, NodeState, Refusal
from flockpy.wire import REPORT_INTERVAL_S, Report

SUSPECT_AFTER_S = 3 * REPORT_INTERVAL_S
LOST_AFTER_S = 6 * REPORT_INTERVAL_S
PAST_BOOTS = 8

K = TypeVar("K")
V = TypeVar("V")


def apply(state: ClusterState, event: Event) -> ClusterState:
    """The state after `event`; `state` itself is left as it is."""
    match event:
        case NodeRegistered():
            return _registered(state, event)
        case NodeReported():
            return _reported(state, event)
        case HealthChecked():
            return _health(state, event)
        case NodeDrained():
            return _drained(state, event)
        case NodeUndrained():
            return _undrained(state, event)
        case NodeRemoved():
            return _node_removed(state, event)
        case ModelInstalled():
            return _installed(state, event)
        case ModelScaled():
            return _scaled(state, event)
        case ModelRemoved():
            return _model_removed(state, event)
        case ModelRefused():
            return _refused(state, event)
        case AliasSet():
            return _alias_set(state, event)
        case AliasRemoved():
            return _alias_removed(state, event)
        case PlacementWanted():
            return _wanted(state, event)
        case PlacementRetired():
            return _retire(state, (event.placement_id,), event.now)
        case PlacementDropped():
            return _dropped(state, event)
        case DemandRaised():
            return _demand(state, event)
        case DemandMet():
            return _demand_met(state, event)
        case _:
            assert_never(event)


def report_is_stale(node: NodeState, report: Report) -> bool:
    """Older than what is known: no higher `seq` of the same boot, or a boot that a later one replaced."""
    if report.boot_id == node.boot_id:
        return report.seq <= node.seq
    return report.boot_id in node.past_boots


def _registered(state: ClusterState, event: NodeRegistered) -> ClusterState:
    known = state.nodes.get(event.node_id)
    if known is None:
        node = NodeState(
            id=event.node_id,
            role=event.role,
            created_at=event.created_at,
            info=event.info,
            hostname=event.info.hostname,
        )
    else:
        node = replace(known, info=event.info, hostname=event.info.hostname)
    return _with_node(state, node)


def _reported(state: ClusterState, event: NodeReported) -> ClusterState:
    known, report = state.nodes.get(event.node_id), event.report
    if known is None or report_is_stale(known, report):
        return state
    past = known.past_boots
    if known.boot_id and known.boot_id != report.boot_id:
        past = (*past, known.boot_id)[-PAST_BOOTS:]
    node = replace(
        known,
        info=report.info,
        hostname=report.info.hostname,
        boot_id=report.boot_id,
        seq=report.seq,
        last_seen=event.now,
        health="alive",
        placements=report.placements,
        address=event.address or known.address,
        past_boots=past,
    )
    if node == replace(known, seq=node.seq, last_seen=node.last_seen):
        return replace(state, nodes=_put(state.nodes, node.id, node))
    return _with_node(state, node)


def _health(state: ClusterState, event: HealthChecked) -> ClusterState:
    changed = {
        node.id: replace(node, health=health)
        for node in state.nodes.values()
        if (health := _health_at(node, event.now)) != node.health
    }
    if not changed:
        return state
    return replace(state, version=state.version + 1, nodes={**state.nodes, **changed})


def _health_at(node: NodeState, now: float) -> Health:
    """Only silence makes a node suspect or lost here; only a report makes it alive again."""
    if node.last_seen is None:
        return "lost"
    silence = now - node.last_seen
    if silence > LOST_AFTER_S:
        return "lost"
    return "suspect" if silence > SUSPECT_AFTER_S else node.health


def _drained(state: ClusterState, event: NodeDrained) -> ClusterState:
    node = state.nodes.get(event.node_id)
    if node is None or node.draining:
        return state
    return _with_node(state, replace(node, draining=True, draining_since=event.now))


def _undrained(state: ClusterState, event: NodeUndrained) -> ClusterState:
    node = state.nodes.get(event.node_id)
    if node is None or not node.draining:
        return state
    return _with_node(state, replace(node, draining=False, draining_since=None))


def _node_removed(state: ClusterState, event: NodeRemoved) -> ClusterState:
    if event.node_id not in state.nodes:
        return state
    kept = {id: desired for id, desired in state.desired.items() if desired.node_id != event.node_id}
    return replace(
        state,
        version=state.version + 1,
        generation=state.generation + 1,
        nodes=_without(state.nodes, event.node_id),
        desired=kept,
    )


def _installed(state: ClusterState, event: ModelInstalled) -> ClusterState:
    if state.models.get(event.model.id) == event.model:
        return state
    return replace(state, version=state.version + 1, models=_put(state.models, event.model.id, event.model))


def _scaled(state: ClusterState, event: ModelScaled) -> ClusterState:
    """Asked for 0, every placement retires, on demand or not; otherwise the model is tried anew."""
    model = state.models.get(event.model_id)
    if model is None:
        return state
    if event.replicas == 0:
        state = _retire(state, _placements_of(state, event.model_id), event.now)
    state = replace(
        state,
        version=state.version + 1,
        models=_put(state.models, model.id, msgspec.structs.replace(model, replicas=event.replicas)),
        demand=state.demand if event.replicas else state.demand - {model.id},
    )
    return _unrefused(state, model.id)


def _model_removed(state: ClusterState, event: ModelRemoved) -> ClusterState:
    if event.model_id not in state.models:
        return state
    state = _retire(state, _placements_of(state, event.model_id), event.now)
    return replace(
        state,
        version=state.version + 1,
        models=_without(state.models, event.model_id),
        demand=state.demand - {event.model_id},
        refused=_without(state.refused, event.model_id),
    )


def _refused(state: ClusterState, event: ModelRefused) -> ClusterState:
    if event.model_id not in state.models:
        return state
    refusal = Refusal(event.reason, event.now)
    return replace(
        state,
        version=state.version + 1,
        refused=_put(state.refused, event.model_id, refusal),
        demand=state.demand - {event.model_id},
    )


def _alias_set(state: ClusterState, event: AliasSet) -> ClusterState:
    if state.aliases.get(event.name) == event.model:
        return state
    return replace(state, version=state.version + 1, aliases=_put(state.aliases, event.name, event.model))


def _alias_removed(state: ClusterState, event: AliasRemoved) -> ClusterState:
    if event.name not in state.aliases:
        return state
    return replace(state, version=state.version + 1, aliases=_without(state.aliases, event.name))


def _wanted(state: ClusterState, event: PlacementWanted) -> ClusterState:
    wanted = event.desired
    if wanted.node_id not in state.nodes or state.desired.get(wanted.spec.id) == wanted:
        return state
    known = state.desired.get(wanted.spec.id)
    state = replace(state, version=state.version + 1, desired=_put(state.desired, wanted.spec.id, wanted))
    state = _unrefused(state, wanted.spec.model.id)
    return state if known and known.spec == wanted.spec else _reordered(state, wanted.node_id)


def _retire(state: ClusterState, placement_ids: Iterable[str], now: float) -> ClusterState:
    retired = {
        id: replace(desired, retiring_since=now)
        for id in placement_ids
        if (desired := state.desired.get(id)) and desired.retiring_since is None
    }
    if not retired:
        return state
    return replace(state, version=state.version + 1, desired={**state.desired, **retired})


def _dropped(state: ClusterState, event: PlacementDropped) -> ClusterState:
    known = state.desired.get(event.placement_id)
    if known is None:
        return state
    state = replace(state, version=state.version + 1, desired=_without(state.desired, event.placement_id))
    return _reordered(state, known.node_id)


def _demand(state: ClusterState, event: DemandRaised) -> ClusterState:
    if event.model_id not in state.models or event.model_id in state.demand:
        return state
    return replace(state, version=state.version + 1, demand=state.demand | {event.model_id})


def _demand_met(state: ClusterState, event: DemandMet) -> ClusterState:
    if event.model_id not in state.demand:
        return state
    return replace(state, version=state.version + 1, demand=state.demand - {event.model_id})


def _reordered(state: ClusterState, node_id: str) -> ClusterState:
    """What this node should run has changed: the cluster's generation grows and becomes the node's."""
    generation = state.generation + 1
    node = replace(state.nodes[node_id], generation=generation)
    return replace(state, generation=generation, nodes=_put(state.nodes, node_id, node))


def _unrefused(state: ClusterState, model_id: str) -> ClusterState:
    if model_id not in state.refused:
        return state
    return replace(state, refused=_without(state.refused, model_id))


def _placements_of(state: ClusterState, model_id: str) -> tuple[str, ...]:
    return tuple(id for id, desired in state.desired.items() if desired.spec.model.id == model_id)


def _with_node(state: ClusterState, node: NodeState) -> ClusterState:
    if state.nodes.get(node.id) == node:
        return state
    return replace(state, version=state.version + 1, nodes=_put(state.nodes, node.id, node))


def _put(mapping: Mapping[K, V], key: K, value: V) -> dict[K, V]:
    return {**mapping, key: value}


def _without(mapping: Mapping[K, V], key: K) -> dict[K, V]:
    return {k: v for k, v in mapping.items() if k != key}
