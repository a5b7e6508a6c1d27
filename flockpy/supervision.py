"""How a child process notices that its parent is gone.

A supervised child (``--supervised``) has a pipe as its standard input whose other end only the parent holds.
The system closes that end with the parent, even when the parent is killed, and the child reads end-of-file.
"""

import asyncio
import contextlib
import os
import stat


class _Watch(asyncio.Protocol):
    def __init__(self, gone: asyncio.Future[None]) -> None:
        self._gone = gone

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._gone.done():
            self._gone.set_result(None)


async def parent_gone(stdin: int = 0) -> None:
    """Return when the parent that holds the other end of the pipe `stdin` (a descriptor) is gone.

    What the parent writes is ignored. Raises ValueError when `stdin` is no pipe.
    """
    if not stat.S_ISFIFO(os.fstat(stdin).st_mode):  # the loops would fail on it later, where nobody sees it
        raise ValueError(f"descriptor {stdin} is no pipe; is the program really started by its parent?")
    loop = asyncio.get_running_loop()
    gone: asyncio.Future[None] = loop.create_future()
    pipe = os.fdopen(os.dup(stdin), "rb", buffering=0)  # the transport closes what it is given
    try:
        transport, _ = await loop.connect_read_pipe(lambda: _Watch(gone), pipe)
    except BaseException:
        with contextlib.suppress(OSError):  # a loop that had begun has closed it already
            pipe.close()
        raise
    try:
        await gone
    finally:
        transport.close()
