"""The answer to one request as it goes out: headers once, keep-alives while an engine is silent, errors in shape."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final, cast

from controlplane.gateway.call import Call
from flockpy.errors import FlockError, MethodNotAllowed, NotFound, QuotaSpent, Unauthenticated

Send = Callable[[dict[str, Any]], Awaitable[None]]

GRACE_S: Final = 2.0
"""A stream's headers wait this long for the engine's verdict, so that its refusals keep their status."""
KEEP_ALIVE_S: Final = 10.0

_JSON: Final = (b"content-type", b"application/json")
_STREAM: Final = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))
_FINAL: Final = (Unauthenticated, QuotaSpent, NotFound)
"""Errors that asking again does not cure; clients are told to stop."""


class Reply:
    """Wraps ASGI's `send` for one call. `started`: the status line is out, so errors must go in-band."""

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call
        self.started = False
        self._last = call.started

    def push(self, data: bytes, now: float) -> "asyncio.Future[None] | None":
        """Send a part of a stream, the headers before the first; answers what to wait for before the next.

        Granian takes a message when `send` is called and answers a future only to a client that reads too slowly, so a
        stream needs no task switch for each of its parts.
        """
        if not self.started:
            self.started = True
            head = {"type": "http.response.start", "status": 200, "headers": [*_STREAM, *self._headers()]}
            self._send(head)
        self._last = now
        sent = self._send({"type": "http.response.body", "body": data, "more_body": True})
        return cast("asyncio.Future[None]", sent) if hasattr(sent, "add_done_callback") else None

    async def end_stream(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def whole(self, status: int, content_type: bytes, body: bytes) -> None:
        """Send a complete answer."""
        headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *self._headers()]
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def tick(self, now: float) -> None:
        """Called while there is nothing to say: keeps a stream's client from giving up."""
        call = self._call
        if call.stream and now - self._last >= (KEEP_ALIVE_S if self.started else GRACE_S):
            self.push(call.surface.keep_alive(call.request_id, call.model, int(call.time)), now)

    async def error(self, error: FlockError) -> None:
        """Tell the client what went wrong: with a status, or as the last event of a stream that has begun."""
        surface = self._call.surface
        if self.started:
            data = surface.stream_error(error)
            await self._send({"type": "http.response.body", "body": data, "more_body": False})
            return
        body = surface.error(error)
        headers = [_JSON, (b"content-length", b"%d" % len(body)), *self._headers(), *_error_headers(error)]
        self.started = True
        await self._send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _headers(self) -> list[tuple[bytes, bytes]]:
        call = self._call
        headers = [(b"x-request-id", call.request_id.encode())]
        if call.model:
            headers.append((b"x-flock-model", _safe(call.model)))
            headers.append((b"x-flock-queue-ms", b"%d" % (call.queue_s * 1000)))
        if call.attempts:
            headers.append((b"x-flock-node", _safe(call.node_name)))
            headers.append((b"x-flock-route", call.attempts[-1].decision.reason.encode()))
        return headers


def _error_headers(error: FlockError) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    if isinstance(error, QuotaSpent):
        headers.append((b"retry-after", b"%d" % math.ceil(error.reset_in_s)))
        headers.append((b"x-ratelimit-remaining-tokens", b"%d" % error.remaining))
        headers.append((b"x-ratelimit-reset-tokens", b"%ds" % math.ceil(error.reset_in_s)))
    elif error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after))
    if isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode()))
    if isinstance(error, _FINAL):
        headers.append((b"x-should-retry", b"false"))
    elif error.retryable:
        headers.append((b"x-should-retry", b"true"))
    return headers


@lru_cache(maxsize=4096)
def _safe(text: str) -> bytes:
    """Header bytes of a name an admin or a host chose: anything but visible ASCII becomes "?"."""
    return "".join(c if " " < c <= "~" else "?" for c in text).encode()
