"""A key's daily budget of tokens: reserved at admission, settled at the end. Pure.

A day is a UTC day. A request counts on the day it was admitted, also when it ends after midnight: so do
its usage record and the sums that are read back after a restart.
"""

from dataclasses import dataclass

import msgspec

DAY_S = 86_400


class Quota(msgspec.Struct, frozen=True):
    """Tokens. `used` + `reserved` never exceeds `limit` at the moment of an admission.

    `used` alone may: a reservation is an estimate, and what was really spent is what counts.
    `day` is the number of UTC days since the epoch.
    """

    limit: int
    day: int
    used: int = 0
    reserved: int = 0

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used - self.reserved)


@dataclass(frozen=True, slots=True)
class Refused:
    """`remaining` tokens could still be reserved; `reset_in_s` seconds until the next UTC day."""

    remaining: int
    reset_in_s: float


def day_of(now: float) -> int:
    return int(now // DAY_S)


def reset_in_s(quota: Quota, now: float) -> float:
    """Seconds until `quota` is whole again."""
    return (quota.day + 1) * DAY_S - now


def roll(quota: Quota, now: float) -> Quota:
    """`quota` as of `now`: a new day is whole. A clock that steps back over midnight gives nothing back."""
    return Quota(quota.limit, day_of(now)) if now >= (quota.day + 1) * DAY_S else quota


def reserve(quota: Quota, tokens: int, now: float) -> Quota | Refused:
    """`quota` (as of `now`, see `roll`) with `tokens` held back. Its `day` is to be handed to `settle`."""
    if quota.used + quota.reserved + tokens > quota.limit:
        return Refused(quota.remaining, reset_in_s(quota, now))
    return Quota(quota.limit, quota.day, quota.used, quota.reserved + tokens)


def settle(quota: Quota, reserved: int, actual: int, day: int) -> Quota:
    """`quota` after a request that had `reserved` tokens on `day` has spent `actual`.

    A reservation of an earlier day went with that day.
    """
    if day != quota.day:
        return quota
    return Quota(quota.limit, quota.day, quota.used + actual, quota.reserved - reserved)
