"""Any answer, from an engine's stream through the neutral form to what the official client makes of it."""

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.chat_encoder import ChatEncoder, render
from controlplane.protocols.ir import Delta, Meta, fold
from tests.unit.controlplane.protocols.deltas import answers, chat_sse, cuts, every_byte, in_two, joined
from tests.unit.controlplane.protocols.openai_client import accumulated, completed, told

META = Meta("req_1", "m", 1_760_000_000)


def decoded(pieces: list[bytes]) -> list[Delta]:
    decoder = ChatDecoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def encoded(deltas: list[Delta]) -> bytes:
    """Each delta on its own, with keep-alives in between."""
    encoder = ChatEncoder(META, include_usage=True)
    written = [encoder.feed([delta]) + encoder.keep_alive(10) for delta in deltas]
    return encoder.keep_alive(10) + b"".join(written) + encoder.end()


@settings(max_examples=60)
@given(answers(empty_calls=True, ids=False) | answers(empty_calls=True), st.data())
def test_the_official_client_makes_the_same_message_of_a_stream_as_of_a_whole_answer(
    deltas: list[Delta], data: st.DataObject
):
    arrived = decoded(data.draw(cuts(chat_sse(deltas))))
    assert joined(arrived) == joined(deltas)
    whole = render(fold(deltas), META)
    assert told(accumulated(encoded(arrived))) == told(completed(whole))


@settings(max_examples=25)
@given(answers(sequences=True))
def test_a_stream_may_be_cut_at_every_byte(deltas: list[Delta]):
    for newline in (b"\n", b"\r\n"):
        stream = chat_sse(deltas, newline=newline)
        assert decoded(every_byte(stream)) == decoded([stream])


@settings(max_examples=8)
@given(answers(blocks=1))
def test_a_stream_may_be_cut_in_two_anywhere(deltas: list[Delta]):
    stream = chat_sse(deltas)
    at_once = decoded([stream])
    assert all(decoded([first, second]) == at_once for first, second in in_two(stream))


@settings(max_examples=40)
@given(answers(empty_calls=True))
def test_what_is_rendered_whole_decodes_to_the_same_answer(deltas: list[Delta]):
    answer = fold(deltas)
    again = render(fold(ChatDecoder().whole(render(answer, META))), META)
    assert again == render(answer, META)


@settings(max_examples=40)
@given(answers(empty_calls=True, ids=False))
def test_what_is_encoded_decodes_to_the_same_answer(deltas: list[Delta]):
    again = decoded([encoded(deltas)])
    assert render(fold(again), META) == render(fold(deltas), META)
