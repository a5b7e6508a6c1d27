"""Which replica serves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.routing.policy import LOCAL_BONUS, NotLoaded, RouteDecision, Saturated, choose
from controlplane.routing.table import Replica
from tests.unit.controlplane.routing.makers import replica, route


def choice(*replicas: Replica, busy: dict[str, int] | None = None, avoid: dict[str, str] | None = None):
    return choose(route("m", *replicas), busy or {}, avoid or {})


@pytest.mark.parametrize(
    ("replicas", "busy", "avoid", "expected"),
    [
        ([replica("a")], {}, {}, "a"),
        ([replica("a"), replica("b")], {}, {}, "a"),
        ([replica("a", slots=2), replica("b", slots=2)], {"a": 1}, {}, "b"),
        ([replica("a", slots=4), replica("b", slots=8)], {"a": 2, "b": 3}, {}, "b"),
        ([replica("a", slots=2), replica("b", slots=2)], {"b": 1}, {"a": "refused"}, "b"),
        ([replica("a"), replica("b", local=True)], {}, {}, "b"),
        ([replica("a", slots=2), replica("b", slots=2, local=True)], {"b": 1}, {}, "a"),
        ([replica("a"), replica("b", local=True)], {"b": 1}, {}, "a"),
        ([replica("a", slots=0), replica("b")], {}, {}, "b"),
        ([replica("a"), replica("b")], {"elsewhere": 9}, {"elsewhere": "x"}, "a"),
    ],
)
def test_the_least_loaded_that_may_serve_is_chosen(replicas, busy, avoid, expected: str) -> None:
    decision = choice(*replicas, busy=busy, avoid=avoid)
    assert isinstance(decision, RouteDecision)
    assert decision.replica.placement_id == expected
    assert decision.reason == ("only-replica" if len(replicas) == 1 else "least-loaded")


@pytest.mark.parametrize(
    ("replicas", "busy", "avoid", "expected"),
    [
        ([], {}, {}, NotLoaded),
        ([replica("a")], {"a": 1}, {}, Saturated),
        ([replica("a")], {"a": 2}, {}, Saturated),
        ([replica("a", slots=0)], {}, {}, Saturated),
        ([replica("a")], {}, {"a": "refused"}, NotLoaded),
        ([replica("a"), replica("b")], {"a": 1}, {"b": "refused"}, Saturated),
    ],
)
def test_nothing_is_chosen_where_nothing_is_free(replicas, busy, avoid, expected: type) -> None:
    assert isinstance(choice(*replicas, busy=busy, avoid=avoid), expected)


def test_a_decision_explains_itself() -> None:
    decision = choice(
        replica("a", slots=2),
        replica("b", slots=2, local=True),
        replica("c"),
        replica("d"),
        busy={"a": 1, "c": 1},
        avoid={"d": "it refused a connection"},
    )
    judged = {c.placement_id: c for c in decision.considered}
    assert judged["a"].score == 0.5
    assert judged["b"].score == 1 + LOCAL_BONUS
    assert (judged["c"].rejected, judged["c"].score) == ("no free slot", 0)
    assert judged["d"].rejected == "it refused a connection"
    assert (judged["a"].in_flight, judged["a"].slots, judged["a"].node_id) == (1, 2, "n_a")


IDS = "abcde"


@given(
    st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=5),
    st.dictionaries(st.sampled_from(IDS), st.integers(0, 6)),
    st.dictionaries(st.sampled_from(IDS), st.just("refused")),
)
def test_what_is_chosen_is_free_trusted_and_the_least_loaded(specs, busy, avoid) -> None:
    replicas = [replica(id, slots=slots, local=local) for id, (slots, local) in zip(IDS, specs, strict=False)]
    free = [r for r in replicas if busy.get(r.placement_id, 0) < r.slots and r.placement_id not in avoid]
    decision = choice(*replicas, busy=busy, avoid=avoid)
    assert [c.placement_id for c in decision.considered] == [r.placement_id for r in replicas]
    if not free:
        full = any(r.placement_id not in avoid for r in replicas)
        assert isinstance(decision, Saturated if full else NotLoaded)
        return
    assert isinstance(decision, RouteDecision)
    assert decision.replica in free

    def load(r: Replica) -> float:
        return busy.get(r.placement_id, 0) / r.slots

    least = min(load(r) for r in free)
    if decision.replica.local:
        assert load(decision.replica) <= least + LOCAL_BONUS + 1e-9
    else:
        assert load(decision.replica) == least
        assert not any(r.local and load(r) <= least for r in free), "a tie goes to the local one"
