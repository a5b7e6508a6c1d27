"""A child notices that its parent is gone."""

import asyncio
import os
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from flockpy.supervision import parent_gone


async def test_a_closed_pipe_means_that_the_parent_is_gone():
    read, write = os.pipe()
    task = asyncio.create_task(parent_gone(read))
    os.write(write, b"anything")
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    os.close(write)
    await asyncio.wait_for(task, 30)
    os.close(read)


async def give_up() -> None:
    read, write = os.pipe()
    task = asyncio.create_task(parent_gone(read))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_watching_can_be_given_up_while_it_begins(run: Callable[[Coroutine[None, None, None]], None]):
    """A leader that finds at once that it cannot start says why, and nothing else."""
    run(give_up())


async def test_a_stdin_that_is_no_pipe_is_refused():
    descriptor = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(ValueError, match=r"[Pp]ipe"):
        await parent_gone(descriptor)
    os.close(descriptor)
