"""Bounds on time that hold for the program, whatever else the machine has to do meanwhile."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

TRIES = 3
Test = TypeVar("Test", bound=Callable[..., Any])


class Late(AssertionError):
    """It took too long, this time."""


def in_time(took: float, within: float) -> None:
    """Raises Late unless it `took` fewer seconds."""
    if took >= within:
        raise Late(f"it took {took:.2f} s, which should be less than {within} s")


def timed(test: Test) -> Test:
    """A test that measures: to be `Late` counts when it happens `TRIES` times in a row, all else at once.

    What is too slow for its bound always is; what only was on a machine that did something else is not.
    The test runs anew with the same fixtures.
    """

    def told(late: Late, number: int) -> None:
        if number == TRIES:
            raise late
        print(f"once more: {late}")

    @functools.wraps(test)
    def measured(*arguments: Any, **named: Any) -> None:
        for number in range(1, TRIES + 1):
            try:
                test(*arguments, **named)
                break
            except Late as late:
                told(late, number)

    @functools.wraps(test)
    async def measured_async(*arguments: Any, **named: Any) -> None:
        for number in range(1, TRIES + 1):
            try:
                await test(*arguments, **named)
                break
            except Late as late:
                told(late, number)

    chosen: Any = measured_async if inspect.iscoroutinefunction(test) else measured
    return chosen
