"""Gauges that mirror the leader's state, set right before each scrape."""

from controlplane.cluster.state import ClusterState
from controlplane.cluster.views import placements
from controlplane.routing.slots import Slots
from flockpy.placement import Ready
from flockpy.telemetry.metrics import Metrics


def set_gauges(metrics: Metrics, state: ClusterState, slots: Slots, degraded: str | None) -> None:
    """Make the gauges say what is now; what is gone loses its series."""
    for gauge in (metrics.in_flight, metrics.queued, metrics.placement, metrics.slots, metrics.nodes):
        gauge.clear()
    for placement in placements(state):
        model, node = placement.model_id, placement.node.id
        metrics.placement.labels(model, node, type(placement.status).__name__.lower()).set(1)
        metrics.in_flight.labels(model, node).inc(slots.in_flight.get(placement.id, 0))
        if isinstance(placement.status, Ready):
            metrics.slots.labels(model, node).inc(placement.status.slots)
    for model in state.models:
        metrics.queued.labels(model).set(slots.queued(model))
    for node in state.nodes.values():
        metrics.nodes.labels(node.health).inc()
    metrics.degraded.set(degraded is not None)
