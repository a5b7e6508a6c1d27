"""Quota arithmetic: never overdrawn at an admission, whatever the order of things."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.tenants.quota import DAY_S, Quota, Refused, day_of, reserve, reset_in_s, roll, settle

MIDNIGHT = 20_000 * DAY_S
LIMIT = 1000


def test_what_fits_is_reserved_and_what_does_not_is_refused_with_the_figures():
    quota = reserve(Quota(LIMIT, 20_000, used=300), 700, MIDNIGHT + 100)
    assert quota == Quota(LIMIT, 20_000, used=300, reserved=700)
    assert isinstance(quota, Quota)
    assert quota.remaining == 0
    assert reserve(quota, 1, MIDNIGHT + 100) == Refused(0, DAY_S - 100)


def test_settling_gives_back_the_reservation_and_charges_the_actual():
    quota = Quota(LIMIT, 20_000, used=300, reserved=700)
    assert settle(quota, 500, 20, 20_000) == Quota(LIMIT, 20_000, used=320, reserved=200)


def test_spending_more_than_reserved_counts_and_closes_the_door():
    quota = settle(Quota(LIMIT, 20_000, reserved=900), 900, 1100, 20_000)
    assert quota.used == 1100
    assert quota.remaining == 0
    assert reserve(quota, 1, MIDNIGHT) == Refused(0, DAY_S)


def test_a_new_utc_day_is_whole():
    spent = Quota(LIMIT, 20_000, used=LIMIT)
    assert isinstance(reserve(spent, 1, MIDNIGHT + DAY_S - 0.001), Refused)
    assert reserve(roll(spent, MIDNIGHT + DAY_S), 1, MIDNIGHT + DAY_S) == Quota(LIMIT, 20_001, reserved=1)


def test_a_request_that_spans_midnight_counts_on_the_day_it_began():
    before = Quota(LIMIT, 20_000, used=100, reserved=50)
    after = reserve(roll(before, MIDNIGHT + DAY_S), 10, MIDNIGHT + DAY_S)
    assert isinstance(after, Quota)
    assert settle(after, 50, 45, 20_000) == Quota(LIMIT, 20_001, used=0, reserved=10)
    assert settle(after, 10, 7, 20_001) == Quota(LIMIT, 20_001, used=7)


def test_a_clock_that_steps_back_over_midnight_gives_nothing_back():
    quota = Quota(LIMIT, 20_001, used=LIMIT)
    assert roll(quota, MIDNIGHT) == quota
    assert reset_in_s(quota, MIDNIGHT) == 2 * DAY_S


steps = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, LIMIT + 100), st.floats(0, DAY_S)),
        st.tuples(st.just("settle"), st.integers(0, 30), st.integers(0, 2 * LIMIT)),
    ),
    max_size=80,
)


@given(steps, st.booleans())
def test_no_interleaving_overdraws_at_an_admission_or_loses_a_token(
    steps: list[tuple[str, int, float]], honest: bool
):
    """A model of it: a list of open reservations and the tokens charged on each day."""
    quota = Quota(LIMIT, 20_000)
    now: float = MIDNIGHT
    running: list[tuple[int, int]] = []
    charged: dict[int, int] = {}
    for kind, a, b in steps:
        if kind == "reserve":
            now += b / 4
            after = reserve(roll(quota, now), a, now)
            day = day_of(now)
            held = sum(tokens for tokens, of in running if of == day)
            if isinstance(after, Refused):
                assert held + charged.get(day, 0) + a > LIMIT
                continue
            quota = after
            assert quota.used + quota.reserved <= LIMIT
            running.append((a, quota.day))
        elif running:
            tokens, day = running.pop(a % len(running))
            actual = min(tokens, int(b)) if honest else int(b)
            charged[day] = charged.get(day, 0) + actual
            quota = settle(quota, tokens, actual, day)
        assert quota.used == charged.get(quota.day, 0)
        assert quota.reserved == sum(tokens for tokens, of in running if of == quota.day)
        if honest:
            assert quota.used + quota.reserved <= LIMIT
