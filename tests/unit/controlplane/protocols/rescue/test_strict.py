"""JSON as models write it becomes JSON."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.rescue.offered import MISSING, decode
from controlplane.protocols.rescue.strict import StrictJson
from tests.unit.controlplane.protocols.deltas import arguments

texts = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" \n\t"))
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def fed(text: str, places: list[int]) -> tuple[str, StrictJson]:
    strict = StrictJson()
    ends = [0, *sorted(min(place, len(text)) for place in places), len(text)]
    return "".join(strict.feed(text[a:b]) for a, b in pairwise(ends)), strict


@given(arguments(), st.lists(st.integers(0, 60), max_size=6))
def test_sound_json_comes_out_to_the_character(text, places):
    made, strict = fed(text, places)
    assert made == text
    assert (strict.done, strict.broken, strict.mended, strict.read) == (True, False, False, len(text))


@given(st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3))
def test_what_python_prints_is_understood(value):
    assert decode(repr(value)) == value


@given(st.text(alphabet="{}[]\"':,\\ntrue NoneT1.-eu\n x\x00"), st.lists(st.integers(0, 30), max_size=6))
def test_where_it_is_cut_does_not_matter(text, places):
    whole, one = fed(text, [])
    pieces, other = fed(text, places)
    assert whole == pieces
    assert (one.done, one.broken, one.read, one.mended) == (
        other.done,
        other.broken,
        other.read,
        other.mended,
    )
    assert one.close(cut=False) == other.close(cut=False)


@given(st.text(alphabet="{}[]\"':,\\ntrue NoneT1.-eu\n x\x00"))
def test_whatever_is_called_done_is_json(text):
    made, strict = fed(text, [])
    if strict.done and decode(text) is not MISSING:
        json.loads(made, strict=True)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("{'a': 'it\\'s'}", '{"a": "it\'s"}'),
        ("""{"a": 'say "x"'}""", '{"a": "say \\"x\\""}'),
        ('{"a": True, "b": None,}', '{"a": true, "b": null}'),
        ("[1, 2, ]", "[1, 2 ]"),
        ("{a: 1}", '{"a": 1}'),
        ('{"a": "x\ny\t"}', '{"a": "x\\ny\\t"}'),
        (r'{"a": "\d+ \\ \u00e9 \u12"}  ', r'{"a": "\\d+ \\ \u00e9 \\u12"}'),
        (r"['\x41']", r'["\u0041"]'),
        ("{}", "{}"),
        ("[[], {}]", "[[], {}]"),
    ],
)
def test_what_has_one_meaning_is_mended(text, meant):
    assert fed(text, [])[0] == meant


@pytest.mark.parametrize(
    "text", ["{1: 2}", "{'a' 1}", "[1 2]", "{]", "nil", "[,]", "{,}", "01", "<", '{"a": undefined}']
)
def test_what_has_none_is_broken(text):
    strict = StrictJson()
    strict.feed(text + " ")
    assert strict.broken


@pytest.mark.parametrize(
    ("text", "cut", "closing"),
    [
        ('{"a": {"b": 1}', True, "}"),
        ('{"a": [1', True, None),  # might have been 12
        ('{"a": [1', False, "1]}"),
        ('{"a": "x', False, None),
        ('{"a": 1,', True, None),
        ('{"a": 1,', False, "}"),
        ('{"a":', False, None),
        ('{"a"', False, None),
        ("{", True, "}"),
        ("{}", True, ""),
    ],
)
def test_only_brackets_are_added_at_the_end(text, cut, closing):
    strict = StrictJson()
    strict.feed(text)
    assert strict.close(cut) == closing
