"""The plain text of a custom tool's call comes piece by piece, and is the same however its arguments were cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.responses_text import PlainText
from tests.unit.controlplane.protocols.deltas import pieces, texts_of

_broken = st.text(st.sampled_from('\\"nu0dD83cC4f{}: a\n😀'), max_size=12)


def through(*cut: str) -> tuple[str, str]:
    """What came piece by piece, and what it is in the end."""
    text = PlainText()
    return "".join(text.feed(piece) for piece in cut), text.end()


@given(st.lists(pieces, max_size=5).map("".join), st.booleans(), st.data())
def test_whatever_the_text_is_it_comes_while_it_is_written(text: str, ascii_only: bool, data: st.DataObject):
    arguments = json.dumps({"input": text}, ensure_ascii=ascii_only)
    assert through(*data.draw(texts_of(arguments))) == (text, text)
    assert through(*arguments) == (text, text)


@given(_broken, st.data())
def test_broken_arguments_mean_the_same_however_they_are_cut(text: str, data: st.DataObject):
    arguments = '{"input":"' + text
    assert through(*data.draw(texts_of(arguments))) == through(*arguments) == through(arguments)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a\nb", "a\nb"),
        (r"\d+", r"\d+"),
        (r"\ud83d", ""),
        (r"\ud83d x", "\ufffd x"),
        (r"\ud83dA", "\ufffdA"),
        (r"\u00e", ""),
        (r"\u00 x", r"\u00 x"),
        (r"cut sho\\", "cut sho\\"),
        ("cut sho\\", "cut sho"),
        (r'in\"side", "more": "x"}', 'in"side'),
    ],
)
def test_what_is_badly_escaped_or_cut_short_is_read_as_far_as_it_can_be(written: str, meant: str):
    assert through('{"input": "' + written) == (meant, meant)
