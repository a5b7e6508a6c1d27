"""Reading a request's body within bounds of size and patience."""

import asyncio
from collections.abc import Callable
from typing import Any

from flockpy.config import Limits
from flockpy.errors import BadRequest, BodyTimeout, BodyTooLarge

Receive = Callable[[], Any]
"""ASGI's `receive`; what it answers is awaitable and, under granian, a future that can be cancelled."""


async def read_body(receive: Receive, length: int | None, limits: Limits) -> bytes:
    """The whole body; `length` as announced, None for a chunked one.

    Raises BodyTooLarge, before reading when `length` tells; BodyTimeout when it stops arriving; BadRequest when the
    connection ends before it does.
    """
    if length is not None and length > limits.body_bytes:
        raise _too_large(limits.body_bytes)
    message = await _received(receive, limits.body_read_seconds)
    if not message.get("more_body"):
        return message["body"]
    loop = asyncio.get_running_loop()
    deadline = loop.time() + limits.body_total_seconds
    parts, size = [message["body"]], len(message["body"])
    while message.get("more_body"):
        left = deadline - loop.time()
        message = await _received(receive, max(0.001, min(limits.body_read_seconds, left)))
        size += len(message["body"])
        if size > limits.body_bytes:
            raise _too_large(limits.body_bytes)
        parts.append(message["body"])
    return b"".join(parts)


async def _received(receive: Receive, within: float) -> dict[str, Any]:
    late = False

    def give_up() -> None:
        nonlocal late
        late = True
        future.cancel()

    future = receive()
    timer = asyncio.get_running_loop().call_later(within, give_up)
    try:
        message = await future
    except asyncio.CancelledError:
        if not late:
            raise
        raise BodyTimeout("the body stopped arriving", field="body", hint="send it without pauses") from None
    finally:
        timer.cancel()
    if message["type"] != "http.request":
        raise BadRequest("the body ended before it was complete, or is framed wrongly", field="body")
    return message


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body exceeds {limit} bytes", field="body", hint="an admin can raise limits.body_bytes"
    )
