"""The leader's one port: connections to it, what they may cost, and the end of it all."""

import asyncio
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Final, cast

from uvicorn.config import Config

from controlplane.gateway.connection import Connection
from controlplane.gateway.door import Door, Plane
from flockpy.clock import Clock
from flockpy.config import Limits
from flockpy.http import Outbox

BACKLOG: Final = 4096
"""Connections that wait to be taken; with fewer a burst of streams waits for its first byte."""
SWEEP_S: Final = 0.25
CLOSE_S: Final = 2.0


class Listener:
    """`plane` serves the paths it knows, and answers by way of `outbox`; the ASGI application `admin` all others."""

    def __init__(self, admin: Any, plane: Plane, limits: Limits, outbox: Outbox, clock: Clock) -> None:
        config = Config(
            admin,
            interface="asgi3",
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # whoever is on this machine could say that it is somebody else
        )
        config.load()
        self._door = Door(config, plane, limits, outbox)
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int) -> None:
        """Take connections from now on. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._sweep()
        self._server = await loop.create_server(
            lambda: Connection(self._door, loop), host, port, backlog=BACKLOG
        )

    async def close(self) -> None:
        """Take no more of them; end those that are idle, and after `CLOSE_S` the others."""
        if self._server is not None:
            self._server.close()
        self._door.outbox.flush()
        for connection in self._connections():
            connection.shutdown()
        if self._connections():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._door.empty.wait(), CLOSE_S)
        for task in tuple(self._door.state.tasks):
            task.cancel()
        self._door.outbox.flush()
        for connection in self._connections():
            connection.transport.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def _sweep(self) -> None:
        """One timer looks after all connections: one for each would cost more than its request."""
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)
        date = formatdate(self._clock.wall(), usegmt=True).encode()
        self._door.date = b"date: " + date + b"\r\n"
        self._door.state.default_headers = [(b"date", date)]
        now = loop.time()
        for connection in self._connections():
            connection.look(now)

    def _connections(self) -> tuple[Connection, ...]:
        return tuple(cast("set[Connection]", self._door.state.connections))
