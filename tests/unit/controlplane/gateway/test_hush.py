"""A vendor that repeats the leader's key is not repeated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.hush import CUT, SHORTEST, Hush

KEY = b'sk-ab"c/d\\e-0123456789'
IN_JSON = b'sk-ab\\"c/d\\\\e-0123456789'
PIECES = st.lists(
    st.one_of(
        st.sampled_from([KEY, IN_JSON, KEY[:7], KEY[7:], KEY[:-1], b"\n\n", b"data: "]),
        st.binary(max_size=9),
    ),
    max_size=12,
)


@pytest.mark.parametrize(
    "header",
    [(b"authorization", b"Bearer " + KEY), (b"x-api-key", KEY), (b"x-amz-security-token", KEY)],
)
@pytest.mark.parametrize("said", [KEY, IN_JSON, IN_JSON.replace(b"/", b"\\/")])
def test_it_is_cut_out_as_it_is_and_as_it_stands_in_json(header: tuple[bytes, bytes], said: bytes):
    hush = Hush((header, (b"content-type", b"application/json")))
    assert hush.whole(b'{"a": "%b", "b": "%b"}' % (said, said)) == b'{"a": "%b", "b": "%b"}' % (CUT, CUT)


def test_other_headers_hide_nothing():
    said = b"application/json 2023-06-01 short"
    hush = Hush(((b"content-type", b"application/json"), (b"x-api-key", b"s" * (SHORTEST - 1))))
    assert hush.feed(said) + hush.rest() == said


@given(PIECES, st.integers(1, 9))
def test_however_a_stream_is_cut_no_key_is_in_it_and_nothing_else_is_missing(pieces: list[bytes], size: int):
    text = b"".join(pieces)
    hush, told = Hush(((b"x-api-key", KEY),)), b""
    for at in range(0, len(text), size):
        told += hush.feed(text[at : at + size])
    told += hush.rest()
    assert KEY not in told
    assert IN_JSON not in told
    if KEY not in text and IN_JSON not in text:
        assert told == text


def test_only_what_may_become_a_key_is_held_back():
    hush = Hush(((b"x-api-key", KEY),))
    assert hush.feed(b"data: one\n\n") == b"data: one\n\n"
    assert hush.feed(b"text " + KEY[:3]) == b"text "
    assert hush.feed(b"x") == KEY[:3] + b"x"
    assert hush.feed(KEY[:3]) == b""
    assert hush.rest() == KEY[:3]
    assert hush.rest() == b""
