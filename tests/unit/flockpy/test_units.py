"""Figures as people read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flockpy.units import bytes_text, count_text, dollars_text, duration_text, sparkline


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (150 * 1024, "150 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (4_700_000_000, "4.4 GiB"),
        (2**60, "1024 PiB"),
    ],
)
def test_bytes(count: int, text: str):
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (999_949, "999.9k"), (999_950, "1.0M"), (5e9, "5.0G")],
)
def test_counts(count: float, text: str):
    assert count_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.25, "250 ms"),
        (0.9999, "1.0 s"),
        (9.94, "9.9 s"),
        (42, "42 s"),
        (59.7, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations(seconds: float, text: str):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "$0.00"),
        (0.00042, "$0.00042"),
        (0.0123, "$0.012"),
        (0.5, "$0.50"),
        (0.99, "$0.99"),
        (0.999, "$1.00"),
        (1234.5, "$1,234.50"),
    ],
)
def test_dollars(amount: float, text: str):
    assert dollars_text(amount) == text


@given(st.floats(0, 1e9))
def test_a_duration_has_at_most_two_parts(seconds: float):
    assert len(duration_text(seconds).split()) in (2, 4)


def test_a_sparkline_reaches_full_height_once_it_has_anything():
    assert sparkline([0, 1, 2]) == "▁▄█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""
