from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.cluster import views
from controlplane.cluster.apply import LOST_AFTER_S, SUSPECT_AFTER_S, apply, report_is_stale
from controlplane.cluster.events import (
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
from controlplane.cluster.state import ClusterState
from flockpy.placement import Failed, Starting
from tests.unit.controlplane.builders import READY, desired, info, model, placed, report

REGISTERED = NodeRegistered("n_1", "leader", 1.0, info())


def after(*events: Event, start: ClusterState | None = None) -> ClusterState:
    state = start or ClusterState(epoch="e")
    for event in events:
        state = apply(state, event)
    return state


SERVING = (
    REGISTERED,
    ModelInstalled(model()),
    PlacementWanted(desired()),
    NodeReported("n_1", report(0, [placed()]), now=0.0),
)


def routable(state: ClusterState) -> list[str]:
    return [p.id for p in views.placements(state) if views.is_routable(p)]


def test_a_reported_ready_placement_is_routable():
    assert routable(after(*SERVING)) == ["p_1"]


def test_a_stale_report_does_not_overwrite_a_newer_one():
    newer = after(REGISTERED, NodeReported("n_1", report(5, [placed()]), 1.0))
    for seq in (0, 4, 5):
        assert apply(newer, NodeReported("n_1", report(seq), 2.0)) is newer


def test_a_new_boot_starts_its_sequence_anew_and_silences_the_old_one():
    state = after(
        REGISTERED,
        NodeReported("n_1", report(100, boot_id="old"), 1.0),
        NodeReported("n_1", report(0, [placed()], boot_id="new"), 2.0),
    )
    assert state.nodes["n_1"].boot_id == "new"
    assert report_is_stale(state.nodes["n_1"], report(101, boot_id="old"))
    assert apply(state, NodeReported("n_1", report(101, boot_id="old"), 3.0)) is state


def test_a_report_that_says_nothing_new_keeps_the_version_but_proves_the_node_alive():
    before = after(REGISTERED, NodeReported("n_1", report(0), 1.0))
    state = apply(before, NodeReported("n_1", report(1), 6.0))
    assert state.version == before.version
    assert state.nodes["n_1"].last_seen == 6.0


@pytest.mark.parametrize(
    ("silence", "health"),
    [(0, "alive"), (SUSPECT_AFTER_S, "alive"), (SUSPECT_AFTER_S + 1, "suspect"), (LOST_AFTER_S + 1, "lost")],
)
def test_silence_makes_a_node_suspect_and_then_lost(silence: float, health: str):
    state = after(*SERVING, HealthChecked(silence))
    assert state.nodes["n_1"].health == health


def test_a_suspect_nodes_placements_are_routable_and_a_lost_ones_are_not():
    assert routable(after(*SERVING, HealthChecked(SUSPECT_AFTER_S + 1))) == ["p_1"]
    lost = after(*SERVING, HealthChecked(LOST_AFTER_S + 1))
    assert routable(lost) == []
    assert "p_1" in lost.desired
    back = apply(lost, NodeReported("n_1", report(1, [placed()]), LOST_AFTER_S + 2))
    assert routable(back) == ["p_1"]


def test_a_health_check_that_finds_nothing_answers_the_same_state():
    state = after(*SERVING)
    assert apply(state, HealthChecked(1.0)) is state


def test_a_node_not_heard_since_the_leader_started_is_lost():
    state = after(REGISTERED, HealthChecked(0.0))
    assert views.node_condition(state, state.nodes["n_1"]) == "lost"


def test_draining_takes_placements_out_of_routing_and_undraining_puts_them_back():
    draining = after(*SERVING, NodeDrained("n_1", 1.0))
    assert routable(draining) == []
    assert views.node_condition(draining, draining.nodes["n_1"]) == "draining"
    assert routable(apply(draining, NodeUndrained("n_1"))) == ["p_1"]
    empty = after(PlacementDropped("p_1"), NodeReported("n_1", report(1), 2.0), start=draining)
    assert views.node_condition(empty, empty.nodes["n_1"]) == "drained"


def test_only_changes_of_orders_move_the_generation_and_only_that_of_the_node_concerned():
    state = after(REGISTERED, NodeRegistered("n_2", "worker", 1.0, info("other")), ModelInstalled(model()))
    assert state.generation == 0
    wanted = apply(state, PlacementWanted(desired()))
    assert (wanted.generation, wanted.nodes["n_1"].generation, wanted.nodes["n_2"].generation) == (1, 1, 0)
    assert apply(wanted, PlacementRetired("p_1", 2.0)).generation == 1
    assert apply(wanted, PlacementDropped("p_1")).nodes["n_1"].generation == 2


def test_a_retiring_placement_can_be_wanted_again_without_the_node_noticing():
    retiring = after(*SERVING, PlacementRetired("p_1", 2.0))
    assert routable(retiring) == []
    again = apply(retiring, PlacementWanted(desired(why="demand", since=3.0)))
    assert routable(again) == ["p_1"]
    assert again.generation == retiring.generation


def test_removing_a_model_retires_its_placements_and_forgets_its_demand():
    state = after(*SERVING, DemandRaised("m"), ModelRemoved("m", 5.0))
    assert (dict(state.models), state.demand, routable(state)) == ({}, frozenset(), [])
    assert state.desired["p_1"].retiring_since == 5.0


def test_asking_for_none_retires_every_placement_and_asking_again_forgives_a_refusal():
    state = after(*SERVING, ModelScaled("m", 0, 5.0))
    assert state.desired["p_1"].retiring_since == 5.0
    refused = apply(state, ModelRefused("m", "too large", 6.0))
    assert views.why_not(refused, "m") == "too large"
    assert apply(refused, ModelScaled("m", 1, 7.0)).refused == {}


def test_removing_a_node_forgets_what_was_desired_of_it():
    state = after(*SERVING, NodeRemoved("n_1"))
    assert (dict(state.nodes), dict(state.desired)) == ({}, {})


def test_demand_is_for_installed_models_and_a_refusal_ends_it():
    assert after(DemandRaised("m")).demand == frozenset()
    raised = after(*SERVING, DemandRaised("m"))
    assert raised.demand == {"m"}
    assert apply(raised, DemandRaised("m")) is raised
    assert apply(raised, DemandMet("m")).demand == frozenset()
    assert apply(raised, ModelRefused("m", "no", 1.0)).demand == frozenset()


@pytest.mark.parametrize(
    ("status", "condition"),
    [
        (READY, "serving"),
        (Starting(), "loading"),
        (Failed("crashed", 1, retry_in_s=2.0), "loading"),
        (Failed("crashed", 5), "failed"),
    ],
)
def test_a_models_condition_follows_its_placements(status, condition: str):
    state = after(*SERVING[:3], NodeReported("n_1", report(0, [placed(status=status)]), 0.0))
    assert views.model_condition(state, "m") == condition


def test_an_adopted_engine_brings_its_model_along():
    state = after(REGISTERED, NodeReported("n_1", report(0, [placed("p_x", "theirs", adopted=True)]), 0.0))
    assert routable(state) == ["p_x"]
    assert views.models(state)["theirs"].source == "adopted:embedded"


NODES = st.sampled_from(["n_1", "n_2"])
MODELS = st.sampled_from(["a", "b"])
PLACEMENTS = st.sampled_from(["p_1", "p_2"])
TIMES = st.floats(0, 100)
EVENTS = st.one_of(
    st.builds(NodeRegistered, NODES, st.just("worker"), TIMES, st.just(info())),
    st.builds(
        NodeReported,
        NODES,
        st.builds(
            report, st.integers(0, 5), st.lists(st.builds(placed, PLACEMENTS, MODELS)), st.sampled_from("xy")
        ),
        TIMES,
    ),
    st.builds(HealthChecked, TIMES),
    st.builds(NodeDrained, NODES, TIMES),
    st.builds(NodeUndrained, NODES),
    st.builds(NodeRemoved, NODES),
    st.builds(ModelInstalled, st.builds(model, MODELS)),
    st.builds(ModelScaled, MODELS, st.integers(0, 1), TIMES),
    st.builds(ModelRemoved, MODELS, TIMES),
    st.builds(ModelRefused, MODELS, st.just("no"), TIMES),
    st.builds(PlacementWanted, st.builds(desired, PLACEMENTS, MODELS, NODES)),
    st.builds(PlacementRetired, PLACEMENTS, TIMES),
    st.builds(PlacementDropped, PLACEMENTS),
    st.builds(DemandRaised, MODELS),
    st.builds(DemandMet, MODELS),
)


@given(st.lists(EVENTS, max_size=30))
def test_whatever_happens_the_picture_holds_together(events: Sequence[Event]):
    state = ClusterState(epoch="e")
    for event in events:
        before, state = state, apply(state, event)
        assert state.version >= before.version
        assert state.generation >= before.generation
        if state.version == before.version:
            assert (state.models, state.desired, state.demand) == (
                before.models,
                before.desired,
                before.demand,
            )
        orders = {n: views.desired_of(state, n) for n in state.nodes}
        for node_id in state.nodes.keys() & before.nodes.keys():
            if orders[node_id] != views.desired_of(before, node_id):
                assert state.nodes[node_id].generation > before.nodes[node_id].generation
        assert all(d.node_id in state.nodes for d in state.desired.values())
        assert state.demand <= state.models.keys()
        for placement in views.placements(state):
            assert not (views.is_routable(placement) and placement.node.draining)
