"""A glob means what everybody takes it to mean."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockpy.globs import fits


@pytest.mark.parametrize(
    ("pattern", "name", "does"),
    [
        ("claude-opus-4-*", "claude-opus-4-8", True),
        ("claude-opus-4-*", "claude-opus-4-", True),
        ("claude-opus-4-*", "claude-opus-4", False),
        ("claude-*haiku*", "claude-3-5-haiku-20241022", True),
        ("claude-*haiku*", "claude-sonnet", False),
        ("*", "", True),
        ("ab*ba", "aba", False),
        ("exact", "exact", True),
        ("exact", "exactly", False),
        ("a.c*", "abcd", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, name: str, does: bool):
    assert fits(pattern, name) is does


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_a_glob_fits_what_the_regular_expression_of_it_fits(pattern: str, name: str):
    meant = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name)
    assert fits(pattern, name) is (meant is not None)
