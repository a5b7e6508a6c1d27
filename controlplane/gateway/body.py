"""Reading a request's body within bounds of size and patience."""

import asyncio
import math
from collections.abc import Callable
from typing import Any, Final

from flockpy.config import Limits
from flockpy.errors import BadRequest, BodyTimeout, BodyTooLarge

Receive = Callable[[], Any]
"""ASGI's `receive`; what it answers is awaitable and, under granian, a future that can be cancelled."""

SWEEP_S: Final = 0.5


class _Arrival:
    """A body on its way: what is awaited of it, until when, and whether that time is over."""

    __slots__ = ("deadline", "future", "late")

    def __init__(self) -> None:
        self.future: Any = None
        self.deadline = math.inf
        self.late = False


class BodyReader:
    """Reads bodies. One timer looks after all that are on their way: one for each would cost more than reading."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._arrivals: set[_Arrival] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, length: int | None) -> bytes:
        """The whole body; `length` as announced, None for a chunked one.

        Raises BodyTooLarge, before reading when `length` tells; BodyTimeout when it stops arriving; BadRequest when the
        connection ends before it does.
        """
        limits = self._limits
        if length is not None and length > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        latest = self._loop.time() + limits.body_total_seconds
        parts: list[bytes] = []
        size = 0
        arrival = _Arrival()
        self._arrivals.add(arrival)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        try:
            while True:
                arrival.deadline = min(self._loop.time() + limits.body_read_seconds, latest)
                arrival.future = receive()
                message = await arrival.future
                if message["type"] != "http.request":
                    raise BadRequest(
                        "the body ended before it was complete, or is framed wrongly", field="body"
                    )
                data: bytes = message["body"]
                size += len(data)
                if size > limits.body_bytes:
                    raise _too_large(limits.body_bytes)
                parts.append(data)
                if not message.get("more_body"):
                    return parts[0] if len(parts) == 1 else b"".join(parts)
        except asyncio.CancelledError:
            if not arrival.late:
                raise
            raise BodyTimeout(
                "the body stopped arriving", field="body", hint="send it without pauses"
            ) from None
        finally:
            self._arrivals.discard(arrival)

    def _sweep(self) -> None:
        now = self._loop.time()
        for arrival in self._arrivals:
            if now >= arrival.deadline:
                arrival.late = True
                arrival.future.cancel()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep) if self._arrivals else None


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body exceeds {limit} bytes", field="body", hint="an admin can raise limits.body_bytes"
    )
