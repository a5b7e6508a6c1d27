"""Which replica serves a request: filter, score, pick. Pure; recording happens after dispatch.

The values are msgspec structs because they are made for each request: a frozen dataclass takes five times as long.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from controlplane.routing.table import Replica, Route

LOCAL_BONUS: Final = 0.1
"""What the leader's own machine is worth: it saves a hop, and must not outweigh a free slot elsewhere."""


class Considered(msgspec.Struct, frozen=True, gc=False):
    """One candidate as it was judged. `rejected` is why it could not serve, else ""; `score` is higher for better."""

    placement_id: str
    node_id: str
    in_flight: int
    slots: int
    score: float
    rejected: str = ""


class RouteDecision(msgspec.Struct, frozen=True):
    replica: Replica
    reason: str
    considered: tuple[Considered, ...]

    @property
    def model_id(self) -> str:
        return self.replica.model_id


class Saturated(msgspec.Struct, frozen=True):
    """Replicas exist, all slots are taken."""

    considered: tuple[Considered, ...]


class NotLoaded(msgspec.Struct, frozen=True):
    """No replica can serve: none is ready, or all were tried."""

    considered: tuple[Considered, ...]


def choose(
    route: Route, in_flight: Mapping[str, int], avoid: Mapping[str, str]
) -> RouteDecision | Saturated | NotLoaded:
    """Pick a replica of `route`.

    `in_flight`: requests of ours on each placement (the gateway's own count is the truth). `avoid`: placements not to
    use and why, such as one that has just refused a connection.
    """
    best: tuple[float, Replica] | None = None
    considered: list[Considered] = []
    saturated = False
    for replica in route.replicas:
        busy = in_flight.get(replica.placement_id, 0)
        rejected = avoid.get(replica.placement_id, "")
        if not rejected and busy >= replica.slots:
            rejected, saturated = "no free slot", True
        score = 0.0
        if not rejected:
            score = 1.0 - busy / replica.slots + (LOCAL_BONUS if replica.local else 0.0)
            if best is None or score > best[0]:
                best = (score, replica)
        considered.append(
            Considered(replica.placement_id, replica.node_id, busy, replica.slots, score, rejected)
        )
    judged = tuple(considered)
    if best is not None:
        reason = "only-replica" if len(route.replicas) == 1 else "least-loaded"
        return RouteDecision(best[1], reason, judged)
    return Saturated(judged) if saturated else NotLoaded(judged)
