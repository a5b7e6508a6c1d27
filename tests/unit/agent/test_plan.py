"""What should be, what is, what to do."""

import msgspec
import pytest

from agent.plan import Action, Present, Start, Stop, plan, supersedes
from flockpy.placement import EngineOptions, ModelSpec, PlacementSpec
from flockpy.wire import DesiredState

A = PlacementSpec("p_a", ModelSpec("a", "a.gguf", 1, 4096))
B = PlacementSpec("p_b", ModelSpec("b", "b.gguf", 1, 4096))
A_CHANGED = msgspec.structs.replace(A, options=EngineOptions(slots=7))


@pytest.mark.parametrize(
    ("wanted", "present", "actions"),
    [
        ((), {}, []),
        ((A, B), {}, [Start(A), Start(B)]),
        ((A, B), {"p_a": Present(A)}, [Start(B)]),
        ((A,), {"p_a": Present(A)}, []),
        ((), {"p_a": Present(A)}, [Stop("p_a", "the leader does not want it any more")]),
        ((), {"p_a": Present(A, leaving=True)}, []),
        ((A,), {"p_a": Present(A, leaving=True)}, []),
        ((A_CHANGED,), {"p_a": Present(A)}, [Stop("p_a", "its specification has changed")]),
        ((A_CHANGED,), {}, [Start(A_CHANGED)]),
        ((B,), {"p_a": Present(A)}, [Stop("p_a", "the leader does not want it any more"), Start(B)]),
    ],
)
def test_the_plan(wanted: tuple[PlacementSpec, ...], present: dict[str, Present], actions: list[Action]):
    assert plan(DesiredState("e", 1, wanted), present) == actions


def test_without_a_word_from_a_leader_all_stays():
    assert plan(None, {"p_a": Present(A)}) == []


@pytest.mark.parametrize(
    ("new", "known", "news"),
    [
        (DesiredState("e", 0), None, True),
        (DesiredState("e", 2), DesiredState("e", 1), True),
        (DesiredState("e", 1), DesiredState("e", 1), False),
        (DesiredState("e", 1), DesiredState("e", 2), False),
        (DesiredState("f", 0), DesiredState("e", 9), True),
    ],
)
def test_orders_that_were_overtaken_are_dropped(new: DesiredState, known: DesiredState | None, news: bool):
    assert supersedes(new, known) == news
