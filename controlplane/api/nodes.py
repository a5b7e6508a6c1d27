"""Nodes: how agents join, report and learn what they should run; how admins see, drain and remove them."""

from typing import Annotated

from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, JSONBody, QueryParameter

from controlplane.api import shapes
from controlplane.api.auth import ApiRequest, calling_node
from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, act, read, remove
from controlplane.api.services import Needs
from controlplane.cluster import views
from controlplane.cluster.apply import report_is_stale
from controlplane.cluster.events import NodeDrained, NodeRegistered, NodeRemoved, NodeReported, NodeUndrained
from controlplane.cluster.join import JoinToken
from controlplane.cluster.state import ClusterState, NodeState
from flockpy import wire
from flockpy.errors import BadRequest, Conflict, NotFound
from flockpy.ids import new_id

WAIT_MAX_S = 60.0


@act(f"{ADMIN}/nodes/register", "Join the cluster", action="node.register", access="open", may=(401, 409))
async def register(data: JSONBody[wire.Register], request: ApiRequest, services: Needs) -> wire.Registered:
    """A join token for a node's identity, its id and its key. A node that joins again keeps its id."""
    token = services.join_tokens.check(data.token)
    _check_protocol(data.protocol)
    cluster = services.cluster
    claimed = (
        data.node_id if data.node_id and services.keyring.owner_of(data.node_key) == data.node_id else ""
    )
    node_id = _identity(cluster.state, token, claimed) or new_id("n", services.entropy)
    await services.join_tokens.redeem(token)
    try:
        await _revoke_keys(services, node_id)
        _, plaintext = await services.keyring.create(f"node {node_id}", "node", subject=node_id)
        await cluster.commit(NodeRegistered(node_id, token.role, services.clock.wall(), data.info))
    finally:
        if token.role == "leader":  # nobody else would make the agent of this machine a new one
            services.join_tokens.mint_local(services.settings.data)
    request.user.note(node_id, hostname=data.info.hostname, role=token.role, token=token.id)
    return wire.Registered(node_id, plaintext)


@act(f"{ADMIN}/nodes/heartbeat", "Report, as a node", action=None, access="node", may=(404, 409))
async def heartbeat(data: JSONBody[wire.Report], request: ApiRequest, services: Needs) -> wire.DesiredState:
    """The node's full report, for everything it should run. One older than what is known changes nothing."""
    node_id, cluster = calling_node(request), services.cluster
    _check_protocol(data.protocol)
    known = _node(cluster.state, node_id)
    if data.boot_id in known.past_boots and report_is_stale(known, data):
        raise Conflict(
            f"Another agent has been reporting as {node_id} since; one identity is for one machine.",
            field="boot_id",
            hint="remove this machine's agent identity and join again",
        )
    address = request.client.host if request.client else ""
    cluster.apply(NodeReported(node_id, data, services.clock.monotonic(), address))
    return cluster.desired_for(node_id)


@read(f"{ADMIN}/nodes/desired", "Wait for orders, as a node", access="node", may=(404,))
async def desired(
    request: ApiRequest,
    services: Needs,
    epoch: Annotated[str, QueryParameter(max_length=200)] = "",
    generation: Annotated[int, QueryParameter(ge=-1)] = -1,
    wait_s: Annotated[float, QueryParameter(ge=0, le=WAIT_MAX_S)] = 25.0,
) -> wire.DesiredState:
    """Everything this node should run: once that is not what it knows, or after `wait_s` seconds."""
    return await services.cluster.wait_desired(calling_node(request), epoch, generation, wait_s)


@read(f"{ADMIN}/nodes", "List nodes", may=(404,))
async def list_nodes(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> shapes.Page[shapes.Node]:
    state = services.cluster.state
    show = shapes.nodes(state, services.clock)
    return page(state.nodes.values(), limit, cursor, lambda node: node.id, show)


@read(f"{ADMIN}/nodes/{{node_id:str}}", "Show a node", may=(404,))
async def show_node(node_id: FromPath[str], services: Needs) -> shapes.Node:
    state = services.cluster.state
    return shapes.node(state, _node(state, node_id), services.clock)


@act(f"{ADMIN}/nodes/{{node_id:str}}/drain", "Take a node out of service", action="node.drain", may=(404,))
async def drain(node_id: FromPath[str], request: ApiRequest, services: Needs) -> shapes.Node:
    """No new requests from now on; its models are unloaded once the running ones have ended."""
    _node(services.cluster.state, node_id)
    request.user.note(node_id)
    state = await services.cluster.commit(NodeDrained(node_id, services.clock.monotonic()))
    return shapes.node(state, _node(state, node_id), services.clock)


@act(
    f"{ADMIN}/nodes/{{node_id:str}}/undrain",
    "Put a node back into service",
    action="node.undrain",
    may=(404,),
)
async def undrain(node_id: FromPath[str], request: ApiRequest, services: Needs) -> shapes.Node:
    _node(services.cluster.state, node_id)
    request.user.note(node_id)
    state = await services.cluster.commit(NodeUndrained(node_id))
    return shapes.node(state, _node(state, node_id), services.clock)


@remove(f"{ADMIN}/nodes/{{node_id:str}}", "Forget a node", action="node.remove", may=(409,))
async def remove_node(node_id: FromPath[str], request: ApiRequest, services: Needs) -> shapes.Node:
    """Its key stops working, so its agent stops. The leader's own machine cannot be removed."""
    state = services.cluster.state
    node = _node(state, node_id)
    if node.role == "leader":
        raise Conflict("This is the leader's own machine; stop the leader instead.", hint="flockpy down")
    request.user.note(node_id, hostname=node.hostname)
    gone = shapes.node(state, node, services.clock)
    await _revoke_keys(services, node_id)
    await services.cluster.commit(NodeRemoved(node_id))
    return gone


HANDLERS: list[HTTPRouteHandler] = [
    register, heartbeat, desired, list_nodes, show_node, drain, undrain, remove_node
]  # fmt: skip


def _node(state: ClusterState, node_id: str) -> NodeState:
    node = state.nodes.get(node_id)
    if node is None:
        raise NotFound(f"There is no node {node_id}.", hint="flockpy node ls")
    return node


def _identity(state: ClusterState, token: JoinToken, claimed: str) -> str | None:
    """The id this node had before, if it may have it again; None: it gets a new one.

    There is one leader's machine, so its agent is known by its token. A join token proves a guest, not that guest's
    name: `claimed` is the id whose key the agent could show, and nobody may be alive under it.
    """
    if token.role == "leader":
        own = views.leader_node(state)
        return own.id if own else None
    known = state.nodes.get(claimed)
    if known is None or known.role != "worker":
        return None
    if known.health == "alive":
        raise Conflict(
            f"The node {claimed} is alive; stop its other agent, or join as a new node.", field="node_id"
        )
    return claimed


def _check_protocol(protocol: int) -> None:
    if protocol != wire.PROTOCOL:
        raise BadRequest(
            f"The agent speaks version {protocol} of the cluster's protocol, this leader {wire.PROTOCOL}.",
            field="protocol",
            hint="flockpy update on the older of the two",
        )


async def _revoke_keys(services: Needs, node_id: str) -> None:
    for key in services.keyring.list():
        if key.subject == node_id and key.revoked_at is None:
            await services.keyring.revoke(key.id)
