"""The leader itself: is it alive, is it ready, what is it doing, how is it configured, what does it measure."""

from collections import Counter
from collections.abc import Iterator, Mapping

import msgspec
from litestar import Response, head
from litestar.handlers import HTTPRouteHandler

from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from controlplane.api.shapes import rfc3339
from controlplane.cluster import views
from controlplane.cluster.state import ClusterState
from flockpy.config import redacted
from flockpy.errors import Overloaded, without_paths
from flockpy.telemetry.metrics import CONTENT_TYPE

DOOR_PLATE = """\
This is flockpy. The API for clients is at /v1 and needs a key; /openapi.json describes the one for administrators, and
`flockpy status` in a shell of this machine tells how it is.
"""


class Health(msgspec.Struct, frozen=True):
    status: str


class Status(msgspec.Struct, frozen=True):
    """The leader at a glance. `nodes` and `models` count by state, `requests` by stage, `engines` the nodes that each
    can run on; `reason`: why not ready.

    `degraded`: why it cannot write everything down as it should, though it serves; None when all is well.
    """

    role: str
    version: str
    ready: bool
    reason: str | None
    started_at: str
    uptime_s: float
    epoch: str
    nodes: dict[str, int]
    engines: dict[str, int]
    models: dict[str, int]
    requests: dict[str, int]
    operations_running: int
    degraded: str | None


class Configuration(msgspec.Struct, frozen=True):
    """Effective values by dotted key, secrets as ``***``; where each came from; where the file is looked for."""

    values: Mapping[str, str | float | bool | dict[str, str]]
    sources: dict[str, str]
    path: str


@read("/", "What answers here", access="open", kinds=("text/plain",))
async def door() -> Response[str]:
    return Response(DOOR_PLATE, media_type="text/plain")


@head("/", opt={"access": "open"}, include_in_schema=False)
async def knock() -> None:
    """Claude Code asks this before anything else."""


@read("/healthz", "Is the leader alive", access="open")
async def healthz() -> Health:
    return Health("ok")


@read("/readyz", "Is the leader ready to serve", access="open", may=(503,))
async def readyz(services: Needs) -> Health:
    """Ready when the store and at least the leader's own node answer."""
    reason = await _unready(services)
    if reason is not None:
        raise Overloaded(reason, retry_after=1)
    return Health("ready")


@read("/metrics", "Prometheus metrics", access="local", kinds=("text/plain",))
async def metrics(services: Needs) -> Response[bytes]:
    return Response(services.metrics(), media_type=CONTENT_TYPE)


@read(f"{ADMIN}/status", "The leader at a glance")
async def status(services: Needs) -> Status:
    state, now = services.cluster.state, services.clock.wall()
    reason = await _unready(services)
    return Status(
        role="leader",
        version=services.version,
        ready=reason is None,
        reason=reason,
        started_at=rfc3339(services.started_at),
        uptime_s=round(now - services.started_at, 3),
        epoch=state.epoch,
        nodes=dict(Counter(views.node_condition(state, node) for node in state.nodes.values())),
        engines=dict(sorted(Counter(_engines(state)).items())),
        models=dict(Counter(views.model_condition(state, id) for id in views.models(state))),
        requests=dict(Counter(request.stage for request in services.requests.list())),
        operations_running=sum(o.state == "running" for o in services.operations.list()),
        degraded=services.ledger.degraded,
    )


@read(f"{ADMIN}/config", "The effective configuration")
async def configuration(services: Needs) -> Configuration:
    settings = services.settings
    return Configuration(redacted(settings.config), dict(settings.sources), str(settings.file))


HANDLERS: list[HTTPRouteHandler] = [door, knock, healthz, readyz, metrics, status, configuration]


def _engines(state: ClusterState) -> Iterator[str]:
    for node in state.nodes.values():
        if node.info is not None and node.health != "lost":
            yield from {engine.name for engine in node.info.engines if engine.available}


async def _unready(services: Needs) -> str | None:
    if (trouble := await services.store_trouble()) is not None:
        return without_paths(trouble)
    node = views.leader_node(services.cluster.state)
    if node is None or node.health == "lost":
        return "The leader's own node does not answer (yet)."
    return None
