"""Reading a request's body within bounds of size and patience."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from flockpy.config import Limits
from flockpy.errors import BadRequest, BodyTimeout, BodyTooLarge

Receive = Callable[[], Any]
"""ASGI's `receive`; what it answers is awaitable and, under granian, a future that can be cancelled."""

SWEEP_S: Final = 0.5


class BodyReader:
    """Reads bodies. One timer looks after all that are on their way: one for each would cost more than reading."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._awaited: dict[int, tuple[Any, float]] = {}
        self._late: set[int] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def read(self, receive: Receive, length: int | None) -> bytes:
        """The whole body; `length` as announced, None for a chunked one.

        Raises BodyTooLarge, before reading when `length` tells; BodyTimeout when it stops arriving; BadRequest when the
        connection ends before it does.
        """
        limits = self._limits
        if length is not None and length > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        deadline = self._loop.time() + limits.body_total_seconds
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._received(receive, deadline)
            data: bytes = message["body"]
            size += len(data)
            if size > limits.body_bytes:
                raise _too_large(limits.body_bytes)
            parts.append(data)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _received(self, receive: Receive, deadline: float) -> dict[str, Any]:
        future = receive()
        number = id(future)
        patience = self._loop.time() + self._limits.body_read_seconds
        self._awaited[number] = (future, min(patience, deadline))
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_S, self._sweep)
        try:
            message = await future
        except asyncio.CancelledError:
            if number not in self._late:
                raise
            raise BodyTimeout(
                "the body stopped arriving", field="body", hint="send it without pauses"
            ) from None
        finally:
            del self._awaited[number]
            self._late.discard(number)
        if message["type"] != "http.request":
            raise BadRequest("the body ended before it was complete, or is framed wrongly", field="body")
        return message

    def _sweep(self) -> None:
        now = self._loop.time()
        for number, (future, deadline) in self._awaited.items():
            if now >= deadline:
                self._late.add(number)
                future.cancel()
        self._sweeper = self._loop.call_later(SWEEP_S, self._sweep) if self._awaited else None


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body exceeds {limit} bytes", field="body", hint="an admin can raise limits.body_bytes"
    )
