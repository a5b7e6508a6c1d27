"""One socket and the parser of the answer under way."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

import httptools

from flockpy.http.messages import Head, Origin

if TYPE_CHECKING:
    from flockpy.http.client import Client, Exchange

MAX_HEAD: Final = 64 * 1024
"""Bytes an answer may take before its headers are complete."""


class Connection(asyncio.Protocol):
    """One socket and the parser of the answer under way. Owned by the pool when idle, by one Exchange when not.

    An answer that is whole is delivered whatever follows it; what follows it costs the connection its reuse.
    """

    def __init__(self, pool: "Client", origin: Origin) -> None:
        self.pool = pool
        self.origin = origin
        self.transport: asyncio.Transport  # set by the event loop before anybody sees the connection
        self.exchange: Exchange | None = None
        self._unsent: list[bytes] = []
        self._body: list[bytes] = []
        self.on_body = (
            self._body.append
        )  # the parser calls C: a stream is many small pieces, and all come at once
        self.parser = httptools.HttpResponseParser(self)
        self.idle_since = 0.0
        self._headers: list[tuple[bytes, bytes]] = []
        self._bodiless = 0  # bytes since the last of a body: a head, a chunk's framing or trailers
        self._complete = False
        self._reusable = False

    def begin(self, exchange: "Exchange", data: list[bytes]) -> None:
        self.exchange = exchange
        self._headers, self._bodiless, self._complete = [], 0, False
        self._unsent = data
        self.pool.outbox.add(self)

    def flush(self) -> None:
        data, self._unsent = self._unsent, []
        if data and not self.transport.is_closing():
            self.transport.writelines(data)

    def close(self) -> None:
        self.transport.abort()

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # bytes nobody asked for: the connection is out of step
            self.close()
            return
        if self._unsent:  # it cannot be the answer: an idle engine may have given up this very moment
            self._break("the peer spoke before it was asked")
            return
        exchange.last, exchange.heard = self.pool.loop.time(), True
        self._bodiless += len(data)
        problem: Exception | None = None
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            problem, self._reusable = error, False
        if self._body:
            self._bodiless = 0
            exchange.received(self._body[0] if len(self._body) == 1 else b"".join(self._body))
            self._body.clear()
        if self._complete:
            self._finish(exchange)
        elif problem is not None:
            self._break(f"the peer does not speak HTTP as it should: {problem.__context__ or problem}")
        elif self._bodiless > MAX_HEAD:
            self._break(f"the answer's headers exceed {MAX_HEAD} bytes")
        else:
            exchange.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.forget(self)
        exchange = self.exchange
        if exchange is None:
            return
        if exc is None and exchange.answer is not None and _ends_with_connection(exchange.answer):
            self.exchange = None
            exchange.end()
        else:
            self._break("the connection was closed in mid-answer" if exchange.answer else "no answer came")

    # httptools callbacks; what they raise ends the parsing
    def on_message_begin(self) -> None:
        if self._complete:
            raise ValueError("a second answer that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        headers, self._headers = self._headers, []
        if self._bodiless > MAX_HEAD and sum(len(name) + len(value) for name, value in headers) > MAX_HEAD:
            raise ValueError(f"the answer's headers exceed {MAX_HEAD} bytes")
        status = self.parser.get_status_code()
        if status >= 200 and self.exchange is not None:
            self.exchange.answer = Head(status, tuple(headers))

    def on_message_complete(self) -> None:
        if self.exchange is not None and self.exchange.answer is not None:  # an interim 1xx is not the answer
            self._complete = True
            self._reusable = self.parser.should_keep_alive()  # the parser knows it only now

    def _finish(self, exchange: "Exchange") -> None:
        self.exchange = None
        if self._reusable and not self.transport.get_write_buffer_size():
            if exchange.paused:
                exchange.resume()
            self.pool.give_back(self)
        else:
            self.close()
        exchange.end()

    def _break(self, message: str) -> None:
        exchange, self.exchange = self.exchange, None
        self.close()
        if exchange is not None:
            exchange.fail(message)


def _ends_with_connection(answer: Head) -> bool:
    return not answer.get(b"content-length") and not answer.get(b"transfer-encoding")
