from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.cluster.apply import apply
from controlplane.cluster.events import (
    DemandMet,
    DemandRaised,
    HealthChecked,
    ModelInstalled,
    ModelRefused,
    ModelRemoved,
    ModelScaled,
    NodeDrained,
    NodeRegistered,
    NodeReported,
    PlacementDropped,
    PlacementRetired,
    PlacementWanted,
)
from controlplane.cluster.state import ClusterState
from controlplane.scheduler.plan import REFUSED_FOR_S, Drop, Meet, Place, Refuse, Revive, plan
from flockpy.config import Config, Jit
from flockpy.node import EngineInfo
from flockpy.placement import Failed, Starting
from tests.unit.controlplane.builders import desired, info, model, placed, report

CONFIG = Config(jit=Jit(cooldown_seconds=300))
NOW = 1000.0


def a_node(*placements, id: str = "n_1", memory: int = 16 * 2**30, at: float = NOW):
    what = msgspec.structs.replace(report(0, placements), info=info(memory=memory))
    return (NodeRegistered(id, "leader", 1.0, info()), NodeReported(id, what, at))


def after(*events, start: ClusterState | None = None) -> ClusterState:
    state = start or ClusterState(epoch="e")
    for event in events:
        state = apply(state, event)
    return state


def serving(why: str = "demand", since: float = 0.0, status=None) -> ClusterState:
    reported = placed() if status is None else placed(status=status)
    wanted = PlacementWanted(desired(why=why, since=since))
    return after(*a_node(reported), ModelInstalled(model(replicas=int(why == "asked"))), wanted)


def test_nothing_wanted_nothing_done():
    assert plan(after(*a_node(), ModelInstalled(model())), {}, CONFIG, NOW) == ()


def test_a_model_asked_for_is_placed_on_the_node_that_holds_its_file():
    state = after(*a_node(), ModelInstalled(model(replicas=1)))
    assert plan(state, {}, CONFIG, NOW) == (Place("m", "n_1", "asked", "an admin asks for it"),)


def test_a_demanded_model_is_placed_and_then_its_demand_is_met():
    state = after(*a_node(), ModelInstalled(model()), DemandRaised("m"))
    assert plan(state, {}, CONFIG, NOW) == (Place("m", "n_1", "demand", "a request waits for it"),)
    loading = after(PlacementWanted(desired(why="demand", since=NOW)), start=state)
    assert plan(loading, {}, CONFIG, NOW) == ()
    ready = after(NodeReported("n_1", report(1, [placed()]), NOW), start=loading)
    assert plan(ready, {}, CONFIG, NOW) == (Meet("m", "it is ready"),)


@pytest.mark.parametrize(
    ("idle", "since", "dropped"),
    [
        (300.0, 0.0, True),
        (299.0, 0.0, False),
        (9999.0, NOW - 10, False),
        (None, 0.0, False),
    ],
    ids=["idle past the cooldown", "not yet", "just placed", "in flight"],
)
def test_what_demand_placed_goes_when_idle_past_the_cooldown(idle, since: float, dropped: bool):
    actions = plan(serving(since=since), {"m": idle}, CONFIG, NOW)
    assert [type(a) for a in actions] == [Drop] * dropped


def test_a_model_never_used_counts_as_idle_since_it_was_placed():
    assert [type(a) for a in plan(serving(since=NOW - 301), {}, CONFIG, NOW)] == [Drop]
    assert plan(serving(since=NOW - 299), {}, CONFIG, NOW) == ()


def test_what_an_admin_asked_for_is_not_dropped_for_idleness():
    assert plan(serving("asked"), {"m": 99999.0}, CONFIG, NOW) == ()


def test_a_retired_placement_goes_when_its_last_request_has_ended_or_the_drain_timeout_is_over():
    state = after(ModelScaled("m", 0, NOW), start=serving("asked"))
    assert plan(state, {"m": None}, CONFIG, NOW) == ()
    assert [type(a) for a in plan(state, {"m": 0.0}, CONFIG, NOW)] == [Drop]
    assert [type(a) for a in plan(state, {"m": None}, CONFIG, NOW + 300)] == [Drop]


def test_a_request_takes_a_retiring_placement_back():
    state = after(PlacementRetired("p_1", NOW), DemandRaised("m"), start=serving())
    assert plan(state, {"m": 0.0}, CONFIG, NOW) == (Revive("p_1", "demand", "a request waits for it"),)


def test_a_removed_models_placement_goes_and_is_not_taken_back():
    state = after(ModelRemoved("m", NOW), start=serving("asked"))
    assert [type(a) for a in plan(state, {}, CONFIG, NOW)] == [Drop]


def test_a_draining_node_is_emptied_without_cutting_requests_and_gets_nothing_new():
    state = after(NodeDrained("n_1", NOW), start=serving("asked"))
    assert plan(state, {"m": None}, CONFIG, NOW) == ()
    assert [type(a) for a in plan(state, {"m": 1.0}, CONFIG, NOW)] == [Drop]
    empty = after(PlacementDropped("p_1"), DemandRaised("m"), start=state)
    asked = replace(empty, demand=frozenset())
    assert plan(asked, {}, CONFIG, NOW) == ()


def test_demand_for_a_model_of_a_draining_node_is_refused():
    state = after(*a_node(), ModelInstalled(model()), NodeDrained("n_1", NOW), DemandRaised("m"))
    (refusal,) = plan(state, {}, CONFIG, NOW)
    assert isinstance(refusal, Refuse)
    assert "draining" in refusal.reason


def test_a_model_too_large_is_refused_with_the_numbers_unless_forced():
    large = model(size_bytes=20 * 2**30, replicas=1)
    (refusal,) = plan(after(*a_node(), ModelInstalled(large)), {}, CONFIG, NOW)
    assert isinstance(refusal, Refuse)
    assert "16.0 GiB" in refusal.reason
    forced = after(*a_node(), ModelInstalled(msgspec.structs.replace(large, force=True)))
    assert [type(a) for a in plan(forced, {}, CONFIG, NOW)] == [Place]


def two_large_models(why: str, since: float = 0.0) -> ClusterState:
    size = 9 * 2**30
    old = desired("p_1", "old", why=why, since=since)
    return after(
        *a_node(placed("p_1", "old")),
        ModelInstalled(model("old", size_bytes=size, replicas=int(why == "asked"))),
        ModelInstalled(model("new", size_bytes=size)),
        PlacementWanted(old),
        DemandRaised("new"),
    )


def test_an_idle_model_makes_room_and_the_new_one_waits_until_it_is_gone():
    state = two_large_models("demand")
    (drop,) = plan(state, {"old": 10.0}, CONFIG, NOW)
    assert isinstance(drop, Drop)
    gone = apply(state, PlacementDropped("p_1"))
    assert plan(gone, {"old": 10.0}, CONFIG, NOW) == ()
    reported = apply(gone, NodeReported("n_1", report(1), NOW))
    assert [type(a) for a in plan(reported, {}, CONFIG, NOW)] == [Place]


@pytest.mark.parametrize(("why", "idle"), [("demand", None), ("asked", 100.0)])
def test_a_model_that_is_busy_or_asked_for_makes_no_room(why: str, idle):
    (refusal,) = plan(two_large_models(why), {"old": idle}, CONFIG, NOW)
    assert isinstance(refusal, Refuse)
    assert "of which old may take" in refusal.reason


def test_a_refusal_stands_for_a_while_and_is_told_to_newcomers():
    state = after(
        *a_node(memory=1), ModelInstalled(model()), ModelRefused("m", "no room", NOW), DemandRaised("m")
    )
    assert plan(state, {}, CONFIG, NOW + 1) == (Refuse("m", "no room", NOW),)
    assert plan(state, {}, CONFIG, NOW + REFUSED_FOR_S) != (Refuse("m", "no room", NOW),)


def test_a_load_that_failed_for_good_is_told_to_those_who_wait():
    failed = Failed("out of memory", attempts=5)
    on_demand = after(DemandRaised("m"), start=serving(status=failed))
    assert plan(on_demand, {}, CONFIG, NOW) == (
        Drop("p_1", "it could not be loaded"),
        Refuse("m", "out of memory", NOW),
    )
    asked = after(DemandRaised("m"), start=serving("asked", status=failed))
    assert plan(asked, {}, CONFIG, NOW) == (Refuse("m", "out of memory", NOW),)
    assert plan(serving("asked", status=failed), {}, CONFIG, NOW) == ()


def test_what_an_admin_asked_for_and_failed_is_tried_anew_for_a_later_request():
    failed = Failed("killed", attempts=6)
    told = after(ModelRefused("m", "killed", NOW), DemandRaised("m"), start=serving("asked", status=failed))
    assert plan(told, {}, CONFIG, NOW + REFUSED_FOR_S - 1) == (Refuse("m", "killed", NOW),)
    later = NOW + REFUSED_FOR_S
    (dropped,) = plan(told, {}, CONFIG, later)
    assert isinstance(dropped, Drop)
    (placed_anew,) = plan(after(PlacementDropped("p_1"), start=told), {}, CONFIG, later)
    assert isinstance(placed_anew, Place)


def test_a_load_that_is_tried_again_is_waited_for():
    failed = Failed("crashed", attempts=1, retry_in_s=2.0)
    assert plan(after(DemandRaised("m"), start=serving(status=failed)), {}, CONFIG, NOW) == ()
    assert plan(after(DemandRaised("m"), start=serving(status=Starting())), {}, CONFIG, NOW) == ()


def test_a_node_that_is_lost_is_told_to_those_who_wait_and_nothing_is_moved():
    lost = after(HealthChecked(NOW + 100), start=serving("asked"))
    assert plan(lost, {"m": 9999.0}, CONFIG, NOW + 100) == ()
    (refusal,) = plan(after(DemandRaised("m"), start=lost), {}, CONFIG, NOW + 100)
    assert isinstance(refusal, Refuse)
    assert "has not been heard for 100 s" in refusal.reason


def test_after_a_leaders_restart_nodes_not_heard_yet_are_waited_for():
    state = after(NodeRegistered("n_1", "leader", 1.0, info()), ModelInstalled(model()), DemandRaised("m"))
    assert plan(state, {}, CONFIG, NOW) == ()


def test_a_node_without_an_engine_is_told_with_the_engines_reason():
    lacking = msgspec.structs.replace(info(), engines=(EngineInfo("embedded", False, reason="no AVX2"),))
    state = after(
        NodeRegistered("n_1", "leader", 1.0, info()),
        NodeReported("n_1", msgspec.structs.replace(report(0), info=lacking), NOW),
        ModelInstalled(model(replicas=1)),
    )
    (refusal,) = plan(state, {}, CONFIG, NOW)
    assert isinstance(refusal, Refuse)
    assert "no AVX2" in refusal.reason


IDLE = st.dictionaries(st.sampled_from("ab"), st.none() | st.floats(0, 1000))
SIZES = st.sampled_from([1000, 9 * 2**30, 20 * 2**30])
STATUSES = st.sampled_from([None, Starting(), Failed("x", 1), Failed("x", 1, 1.0)])
EVENTS = st.one_of(
    st.builds(
        lambda id, size, n: ModelInstalled(model(id, size_bytes=size, replicas=n)),
        st.sampled_from("ab"),
        SIZES,
        st.integers(0, 1),
    ),
    st.builds(DemandRaised, st.sampled_from("ab")),
    st.builds(ModelScaled, st.sampled_from("ab"), st.integers(0, 1), st.just(NOW)),
    st.builds(ModelRemoved, st.sampled_from("ab"), st.just(NOW)),
    st.builds(PlacementRetired, st.sampled_from(["p_a", "p_b"]), st.just(NOW)),
    st.builds(NodeDrained, st.just("n_1"), st.just(NOW)),
    st.builds(
        lambda id, why: PlacementWanted(desired(f"p_{id}", id, why=why)),
        st.sampled_from("ab"),
        st.sampled_from(["asked", "demand"]),
    ),
    st.builds(
        lambda seq, ids: NodeReported("n_1", report(seq, [placed(f"p_{i}", i) for i in ids]), NOW),
        st.integers(1, 20),
        st.sets(st.sampled_from("ab")),
    ),
    st.just(HealthChecked(NOW + 100)),
)


@given(st.lists(EVENTS, max_size=12), IDLE)
def test_a_plan_never_cuts_a_request_never_doubles_a_placement_and_settles(events: Sequence, idle):
    state, actions = after(*a_node(), *events), ()
    for turn in range(20):
        actions = plan(state, idle, CONFIG, NOW)
        if not actions:
            break
        for number, action in enumerate(actions):
            match action:
                case Drop():
                    assert idle.get(state.desired[action.placement_id].spec.model.id, 0.0) is not None
                    state = apply(state, PlacementDropped(action.placement_id))
                case Place():
                    wanted = desired(f"p_{turn}_{number}", action.model_id, why=action.why, since=NOW)
                    state = apply(state, PlacementWanted(wanted))
                case Revive():
                    known = state.desired[action.placement_id]
                    state = apply(state, PlacementWanted(replace(known, why=action.why, retiring_since=None)))
                case Refuse():
                    state = apply(state, ModelRefused(action.model_id, action.reason, action.at))
                case Meet():
                    state = apply(state, DemandMet(action.model_id))
        live = [d.spec.model.id for d in state.desired.values() if d.retiring_since is None]
        assert len(live) == len(set(live))
    else:
        raise AssertionError(f"it does not settle: {actions}")
