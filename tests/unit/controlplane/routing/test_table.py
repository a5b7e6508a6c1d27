"""What the data path is told of the cluster's picture."""

from dataclasses import replace

import pytest

from controlplane.cluster.state import ClusterState, Desired, NodeState, Refusal
from controlplane.routing.table import RoutingTable, build_table
from flockpy.placement import (
    Draining,
    Endpoint,
    Failed,
    Fetching,
    Pending,
    Ready,
    Starting,
    Status,
    Stopped,
)
from flockpy.wire import PlacementReport
from tests.unit.controlplane.builders import READY, desired, model, placed

LEADER = NodeState("n_1", "leader", 1.0, health="alive", hostname="box")
WORKER = NodeState("n_2", "worker", 1.0, health="alive")


def state(*nodes: NodeState, wanted: tuple[Desired, ...] = (), **changes) -> ClusterState:
    fields = {
        "epoch": "e",
        "version": 7,
        "models": {"m": model()},
        "nodes": {node.id: node for node in nodes},
        "desired": {d.spec.id: d for d in wanted},
        **changes,
    }
    return ClusterState(**fields)


def one(status: Status = READY, node: NodeState = LEADER, **of_desired) -> RoutingTable:
    """The table of a cluster with one desired placement in this state."""
    running = replace(node, placements=(placed(status=status),))
    return build_table(state(running, wanted=(desired(node_id=node.id, **of_desired),)), "")


def test_a_ready_placement_is_a_replica_with_all_the_data_path_needs() -> None:
    table = one()
    (replica,) = table.routes["m"].replicas
    assert table.version == 7
    assert (replica.placement_id, replica.model_id, replica.node_id) == ("p_1", "m", "n_1")
    assert (replica.node_name, replica.engine, replica.adopted, replica.local) == (
        "box",
        "embedded",
        False,
        True,
    )
    assert replica.endpoint == Endpoint("http://127.0.0.1:4000", "secret")
    assert (replica.slots, replica.context_window) == (2, 4096)
    assert table.routes["m"].failure is None
    assert not table.routes["m"].loading


def test_a_worker_is_not_local_and_named_by_its_id_until_it_says_its_name() -> None:
    (replica,) = one(node=WORKER).routes["m"].replicas
    assert not replica.local
    assert replica.node_name == "n_2"


@pytest.mark.parametrize("status", [Pending(), Fetching(1, 2), Starting(), Failed("crash", 1, 5.0)], ids=repr)
def test_a_placement_on_its_way_makes_its_model_loading_not_served(status: Status) -> None:
    route = one(status).routes["m"]
    assert (route.replicas, route.loading, route.failure) == ((), True, None)


def test_a_placement_not_reported_yet_makes_its_model_loading() -> None:
    route = build_table(state(LEADER, wanted=(desired(),)), "").routes["m"]
    assert (route.replicas, route.loading, route.failure) == ((), True, None)


@pytest.mark.parametrize("status", [Draining(), Stopped()], ids=repr)
def test_a_placement_on_its_way_out_serves_nobody(status: Status) -> None:
    route = one(status).routes["m"]
    assert (route.replicas, route.loading, route.failure) == ((), False, None)


def test_a_placement_given_up_is_a_failure_with_its_reason() -> None:
    route = one(Failed("no such file", 3)).routes["m"]
    assert (route.replicas, route.loading, route.failure) == ((), False, "no such file")


def test_a_model_that_could_not_be_placed_is_a_failure_with_its_reason() -> None:
    route = build_table(state(LEADER, refused={"m": Refusal("too big", 1.0)}), "").routes["m"]
    assert (route.loading, route.failure) == (False, "too big")


def test_a_second_placement_that_fails_or_loads_does_not_spoil_the_first() -> None:
    for other in (Failed("crash", 3), Starting()):
        node = replace(LEADER, placements=(placed(), placed("p_2", status=other)))
        route = build_table(state(node, wanted=(desired(), desired("p_2"))), "").routes["m"]
        assert [r.placement_id for r in route.replicas] == ["p_1"]
        assert (route.loading, route.failure) == (False, None)


def test_a_retiring_placement_takes_no_new_requests() -> None:
    assert one(retiring_since=5.0).routes["m"].replicas == ()


def test_a_placement_nobody_wants_any_more_takes_no_new_requests() -> None:
    node = replace(LEADER, placements=(placed(),))
    assert build_table(state(node), "").routes["m"].replicas == ()


@pytest.mark.parametrize(
    ("change", "serves"),
    [
        ({"health": "alive"}, True),
        ({"health": "suspect"}, True),
        ({"health": "lost"}, False),
        ({"draining": True}, False),
    ],
    ids=repr,
)
def test_a_node_that_is_lost_or_drains_takes_no_new_requests(change: dict[str, object], serves: bool) -> None:
    assert bool(one(node=replace(LEADER, **change)).routes["m"].replicas) == serves


def test_an_installed_model_that_is_not_loaded_is_there_to_be_asked_for() -> None:
    route = build_table(state(), "").routes["m"]
    assert route.capabilities == ("chat", "completion")
    assert route.context_window == 4096
    assert (route.replicas, route.loading, route.failure) == ((), False, None)


def test_the_window_of_a_model_is_the_widest_that_is_ready() -> None:
    def ready(window: int) -> Ready:
        return Ready(Endpoint("http://127.0.0.1:1"), 1, window)

    node = replace(LEADER, placements=(placed(status=ready(512)), placed("p_2", status=ready(2048))))
    table = build_table(state(node, wanted=(desired(), desired("p_2"))), "")
    assert table.routes["m"].context_window == 2048


def test_an_adopted_engine_serves_its_model_installed_or_not() -> None:
    foreign = PlacementReport("p_9", "theirs", "llama-server", READY, ("embedding",), adopted=True)
    node = replace(LEADER, placements=(foreign,))
    route = build_table(state(node), "").routes["theirs"]
    assert route.capabilities == ("embedding",)
    assert route.replicas[0].adopted
    node = replace(LEADER, placements=(placed("p_9", adopted=True),))
    assert build_table(state(node), "").routes["m"].replicas[0].adopted


CHAT_MODELS = {
    "flock-demo": model("flock-demo", created_at=1.0),
    "old": model("old", created_at=2.0),
    "new": model("new", created_at=3.0),
    "vectors": model("vectors", created_at=0.5, capabilities=("embedding",)),
}


@pytest.mark.parametrize(
    ("installed", "served", "configured", "expected"),
    [
        ((), (), "", None),
        (("vectors",), ("vectors",), "", None),
        (("flock-demo",), (), "", "flock-demo"),
        (("flock-demo", "new"), ("flock-demo",), "", "new"),
        (("flock-demo", "old", "new"), (), "", "old"),
        (("flock-demo", "old", "new"), ("new",), "", "new"),
        (("old", "new"), ("new",), "old", "old"),
        (("old",), (), "not-there-yet", "not-there-yet"),
    ],
)
def test_the_default_model(
    installed: tuple[str, ...], served: tuple[str, ...], configured: str, expected: str | None
) -> None:
    running = tuple(placed(f"p_{id}", id) for id in served)
    picture = state(
        replace(LEADER, placements=running),
        wanted=tuple(desired(f"p_{id}", id) for id in served),
        models={id: CHAT_MODELS[id] for id in installed},
    )
    assert build_table(picture, configured).default_model == expected


def test_a_large_cluster_is_no_burden() -> None:
    """The table is rebuilt on the data path's event loop with each change."""
    ids = [f"m{i}" for i in range(300)]
    nodes = [
        replace(
            WORKER,
            id=f"n{n}",
            placements=tuple(placed(f"p_{id}_{n}", id) for id in ids[n * 10 : n * 10 + 10]),
        )
        for n in range(30)
    ]
    wanted = tuple(desired(p.id, p.model_id, node.id) for node in nodes for p in node.placements)
    picture = state(*nodes, wanted=wanted, models={id: model(id) for id in ids})
    looks = 0

    class Counted(dict[str, Desired]):
        def values(self):
            nonlocal looks
            looks += 1
            return super().values()

    table = build_table(replace(picture, desired=Counted(picture.desired)), "")
    assert all(len(route.replicas) == 1 for route in table.routes.values())
    assert looks <= 4, "all placements are gone through a few times, not once for each model"
