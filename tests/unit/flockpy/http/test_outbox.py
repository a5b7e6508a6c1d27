"""What a turn of the event loop has to say is written at its end."""

import asyncio
from typing import Any

import pytest

from flockpy.http import Outbox


class Said:
    """A connection that tells `log` when it is flushed; `breaks` with a defect of its own."""

    def __init__(self, log: list[str], name: str, *, breaks: bool = False) -> None:
        self.log, self.name, self.breaks = log, name, breaks

    def flush(self) -> None:
        self.log.append(self.name)
        if self.breaks:
            raise KeyError(self.name)


async def test_connections_are_flushed_in_order_at_the_end_of_the_turn():
    log: list[str] = []
    outbox = Outbox(before=None)
    outbox.add(Said(log, "a"))
    outbox.add(Said(log, "b"))
    assert log == []
    await asyncio.sleep(0)
    assert log == ["a", "b"]
    outbox.add(Said(log, "c"))
    await asyncio.sleep(0)
    assert log == ["a", "b", "c"]


async def test_what_is_to_be_done_before_is_done_once_and_only_when_something_is_written():
    log: list[str] = []
    outbox = Outbox(before=lambda: log.append("before"))
    outbox.flush()
    assert log == []
    outbox.add(Said(log, "a"))
    outbox.add(Said(log, "b"))
    outbox.flush()
    await asyncio.sleep(0)
    assert log == ["before", "a", "b"]


async def test_one_that_breaks_is_told_of_and_the_others_are_flushed():
    log: list[str] = []
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    outbox = Outbox(before=None)
    for connection in (Said(log, "a", breaks=True), Said(log, "b"), Said(log, "c")):
        outbox.add(connection)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log == ["a", "b", "c"]
    assert [repr(context["exception"]) for context in told] == ["KeyError('a')"]


async def test_nothing_is_written_in_a_turn_in_which_what_is_to_be_done_before_broke():
    log: list[str] = []
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    def before() -> None:
        log.append("before")
        if log == ["before"]:
            raise KeyError("once")

    outbox = Outbox(before=before)
    outbox.add(Said(log, "a"))
    await asyncio.sleep(0)
    assert log == ["before"]
    await asyncio.sleep(0)
    assert log == ["before", "before", "a"]
    assert [repr(context["exception"]) for context in told] == ["KeyError('once')"]


async def test_one_may_have_more_to_say_while_it_is_flushed():
    log: list[str] = []
    outbox = Outbox(before=None)

    class Again(Said):
        def flush(self) -> None:
            super().flush()
            if len(log) == 1:
                outbox.add(self)

    outbox.add(Again(log, "a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert log == ["a", "a"]


@pytest.mark.parametrize("turns", [1, 3])
async def test_flushing_at_once_leaves_nothing_for_the_end_of_the_turn(turns: int):
    log: list[str] = []
    outbox = Outbox(before=None)
    for _ in range(turns):
        outbox.add(Said(log, "a"))
        outbox.flush()
    await asyncio.sleep(0)
    assert log == ["a"] * turns
