"""The answer to one request as it goes out: headers once, keep-alives while an engine is silent, errors in shape."""

import asyncio
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from controlplane.gateway.asked import Asked
from controlplane.protocols.ir import Encoder, Failure
from flockpy.errors import FlockError, LeaderRefused, MethodNotAllowed, NotFound, QuotaSpent, Unauthenticated

GRACE_S: Final = 2.0
"""A stream's headers wait this long for the engine's verdict, so that its refusals keep their status."""
KEEP_ALIVE_S: Final = 10.0
MAX_DROPPED: Final = 1000
"""Bytes of ``x-flock-dropped``."""

_FINAL: Final = (Unauthenticated, QuotaSpent, NotFound, LeaderRefused)
"""Errors that asking again does not cure; clients are told to stop."""


class Reply:
    """What a call says to its client. `started`: the status line is out, so errors must go in-band. `encoder`: that
    of a translated stream. `passed`: header lines of a vendor's answer, for its client. `last_words`: how a stream
    that passed as it was is ended by an error, where what passed says how; else its surface knows."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._call = asked.call
        self.started = False
        self.encoder: Encoder | None = None
        self.passed = b""
        self.last_words: Callable[[FlockError], bytes] | None = None
        self._last = self._said = asked.call.started

    def push(self, data: bytes, now: float) -> "asyncio.Future[None] | None":
        """Send a part of a stream, the headers before the first; answers what to wait for before the next."""
        self._said = self._last = now
        return self._asked.write(data) if self.started else self._send(data, now)

    def _send(self, data: bytes, now: float) -> "asyncio.Future[None] | None":
        self._last = now
        if self.started:
            return self._asked.write(data)
        self.started = True
        return self._asked.begin(_stream(self._call.surface.stream_type) + self._headers(), data)

    def end_stream(self, rest: bytes = b"") -> None:
        self._asked.end(rest)

    def whole(self, status: int, content_type: bytes, body: bytes) -> None:
        """Send a complete answer."""
        self.started = True
        self._asked.answer(status, b"content-type: %b\r\n%b" % (content_type, self._headers()), body)

    def tick(self, now: float) -> None:
        """Called while there is nothing to say: keeps a stream's client from giving up."""
        call = self._call
        if not call.stream or now - self._last < (KEEP_ALIVE_S if self.started else GRACE_S):
            return
        if self.encoder is not None:
            self._send(self.encoder.keep_alive(now - self._said), now)
        else:
            self._send(call.surface.keep_alive(call.request_id, call.model, int(call.time)), now)

    def breathe(self, now: float) -> None:
        """Called while a vendor whose stream passes as it is says nothing: a comment, which every client passes over,
        keeps whatever lies on the way from closing the connection."""
        if now - self._last >= KEEP_ALIVE_S:
            self._send(b": \n\n", now)

    def error(self, error: FlockError) -> None:
        """Tell the client what went wrong: with a status, or as the last event of a stream that has begun."""
        surface = self._call.surface
        self._call.error = error.message
        if self.started:
            if encoder := self.encoder:
                said = encoder.feed((Failure(error),)) + encoder.end()
            else:
                said = (self.last_words or surface.stream_error)(error)
            self._asked.end(said)
            return
        self.started = True
        headers = b"content-type: application/json\r\n" + self._headers() + _error_headers(error)
        self._asked.answer(surface.status(error), headers, surface.error(error))

    def _headers(self) -> bytes:
        call = self._call
        if not call.model:
            return b"x-request-id: %b\r\n" % call.request_id.encode()
        more = b""
        last = call.attempts[-1].decision if call.attempts else None
        if last is not None and last.model_id == call.model:
            reason = last.reason
            more = _where(call.node_name, ", ".join((*call.hops, reason)) if call.hops else reason)
        elif call.hops:  # nobody was asked for this model yet
            more = _route(", ".join(call.hops))
        if call.dropped:
            more += b"x-flock-dropped: %b\r\n" % _safe(", ".join(call.dropped))[:MAX_DROPPED]
        if call.estimated:
            more += b"x-flock-tokens: estimated\r\n"
        more += self.passed
        return b"x-request-id: %b\r\nx-flock-queue-ms: %d\r\n%b%b" % (
            call.request_id.encode(),
            call.queue_s * 1000,
            _which(call.model),
            more,
        )


@lru_cache(maxsize=16)
def _stream(media_type: bytes) -> bytes:
    return b"content-type: %b\r\ncache-control: no-cache\r\n" % media_type


@lru_cache(maxsize=4096)
def _which(model: str) -> bytes:
    return b"x-flock-model: %b\r\n" % _safe(model)


@lru_cache(maxsize=4096)
def _where(node: str, reason: str) -> bytes:
    return b"x-flock-node: %b\r\n%b" % (_safe(node), _route(reason))


def _route(hops: str) -> bytes:
    return b"x-flock-route: %b\r\n" % _safe(hops)


def _error_headers(error: FlockError) -> bytes:
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
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def _safe(text: str) -> bytes:
    """Header bytes of names that an admin or a host chose: anything but ASCII that can be printed becomes "?"."""
    return "".join(c if " " <= c <= "~" else "?" for c in text).encode()
