"""The helper itself: what it makes is legal."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.ir import Counted, Delta, Stop, ToolArgs, ToolStart, fold
from tests.unit.controlplane.protocols.deltas import answers, chat_sse, cuts, every_byte, joined


@given(answers(signed=True, sequences=True))
def test_calls_begin_in_order_before_their_arguments_which_are_an_object(deltas: list[Delta]):
    begun: list[int] = []
    for delta in deltas:
        if isinstance(delta, ToolStart):
            begun.append(delta.index)
        elif isinstance(delta, ToolArgs):
            assert delta.index in begun and delta.text
    assert begun == list(range(len(begun)))
    assert all(isinstance(msgspec.json.decode(call.arguments), dict) for call in fold(deltas).calls)
    assert len({call.id for call in fold(deltas).calls}) == len(begun)


@given(answers())
def test_an_answer_ends_with_one_stop_and_one_count(deltas: list[Delta]):
    assert {type(delta) for delta in deltas[-2:]} == {Stop, Counted}
    assert not any(isinstance(delta, Stop | Counted) for delta in deltas[:-2])


@given(answers(), st.data())
def test_nothing_is_lost_in_cutting_and_joining(deltas: list[Delta], data: st.DataObject):
    stream = chat_sse(deltas)
    assert b"".join(data.draw(cuts(stream))) == stream == b"".join(every_byte(stream))
    assert fold(joined(deltas)) == fold(deltas)
