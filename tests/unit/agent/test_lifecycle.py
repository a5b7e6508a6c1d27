"""The state machine of one engine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.lifecycle import (
    HEALTHY_S,
    RESTART_DELAYS_S,
    Answered,
    Broken,
    Due,
    Ended,
    Event,
    Gone,
    Halt,
    Hung,
    Serving,
    Starting,
    State,
    Stopping,
    Waiting,
    status,
    step,
)
from flockpy import placement

SERVING = Serving(0, 100.0, 2, 4096)
WAITING = Waiting(1, "it broke", 101.0)
BUDGET = len(RESTART_DELAYS_S)


@pytest.mark.parametrize(
    ("state", "event", "after", "effect"),
    [
        (Starting(), Answered(2, 4096), SERVING, None),
        (Starting(), Ended("it broke"), WAITING, None),
        (Starting(), Ended("no model", hopeless=True), Broken(1, "no model"), None),
        (Starting(1), Ended("again"), Waiting(2, "again", 102.0), None),
        (Starting(BUDGET), Ended("again"), Broken(BUDGET + 1, "again"), None),
        (Starting(), Hung("silent"), Stopping(Waiting(1, "silent", 101.0)), "stop"),
        (Starting(), Halt(), Stopping(Gone()), "stop"),
        (Starting(), Due(), Starting(), None),
        (SERVING, Answered(2, 4096), SERVING, None),
        (SERVING, Ended("it broke"), WAITING, None),
        (SERVING, Hung("silent"), Stopping(Waiting(1, "silent", 101.0)), "stop"),
        (SERVING, Halt(), Stopping(Gone()), "stop"),
        (Stopping(WAITING), Ended("killed"), WAITING, None),
        (Stopping(WAITING), Halt(), Stopping(Gone()), None),
        (Stopping(WAITING), Hung("silent"), Stopping(WAITING), None),
        (Stopping(Gone()), Ended("killed"), Gone(), None),
        (WAITING, Due(), WAITING, None),
        (Waiting(1, "it broke", 99.0), Due(), Starting(1), "start"),
        (WAITING, Halt(), Gone(), None),
        (Broken(6, "again"), Due(), Broken(6, "again"), None),
        (Broken(6, "again"), Halt(), Gone(), None),
        (Gone(), Answered(1, 1), Gone(), None),
    ],
)
def test_what_happens_in_which_state(state: State, event: Event, after: State, effect: str | None):
    assert step(state, event, 100.0) == (after, effect)


def test_delays_grow_until_the_budget_is_spent():
    state: State = Starting()
    delays: list[float] = []
    while True:
        state, _ = step(state, Ended("it broke"), 0.0)
        if isinstance(state, Broken):
            break
        assert isinstance(state, Waiting)
        delays.append(state.until)
        state, effect = step(state, Due(), state.until)
        assert effect == "start"
    assert tuple(delays) == RESTART_DELAYS_S
    assert state == Broken(BUDGET + 1, "it broke")


@pytest.mark.parametrize(("served_s", "failures"), [(HEALTHY_S - 1, 5), (HEALTHY_S, 1)])
def test_an_engine_that_served_for_long_has_its_budget_back(served_s: float, failures: int):
    state, _ = step(Serving(4, 100.0, 1, 1), Ended("it broke"), 100.0 + served_s)
    assert isinstance(state, Waiting)
    assert state.failures == failures


HERE = placement.Endpoint("http://127.0.0.1:1", "k")


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (Starting(2), placement.Starting(3)),
        (SERVING, placement.Ready(HERE, 2, 4096)),
        (WAITING, placement.Failed("it broke", 1, 1.0)),
        (Broken(6, "again"), placement.Failed("again", 6)),
        (Stopping(Gone()), placement.Draining()),
        (Stopping(WAITING), placement.Failed("it broke", 1, 1.0)),
        (Gone(), placement.Stopped()),
    ],
)
def test_what_the_leader_is_told(state: State, told: placement.Status):
    assert status(state, HERE, 100.0) == told


events = st.one_of(
    st.builds(Answered, st.integers(1, 4), st.integers(1, 9999)),
    st.builds(Ended, st.just("it broke"), st.booleans()),
    st.just(Hung("silent")),
    st.just(Due()),
    st.just(Halt()),
)


@given(story=st.lists(st.tuples(events, st.floats(0, 200)), max_size=60))
def test_a_process_is_started_only_when_there_is_none_and_stopped_once(story: list[tuple[Event, float]]):
    state: State = Starting()
    exists, stopped, now = True, False, 0.0
    for event, passed in story:
        if isinstance(event, Ended | Hung | Answered) and not exists:
            continue  # only a process can do these
        now += passed
        state, effect = step(state, event, now)
        if isinstance(event, Ended):
            exists = stopped = False
        if effect == "start":
            assert not exists
            exists = True
        if effect == "stop":
            assert exists
            assert not stopped
            stopped = True
        assert exists == isinstance(state, Starting | Serving | Stopping)
        assert stopped == isinstance(state, Stopping)


@given(story=st.lists(events, max_size=30))
def test_what_is_halted_comes_to_its_end(story: list[Event]):
    state: State = Starting()
    for event in story:
        state, _ = step(state, event, 0.0)
    state, _ = step(state, Halt(), 0.0)
    state, _ = step(state, Ended("it ended"), 0.0)
    assert state == Gone()
