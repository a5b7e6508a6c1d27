"""Connections, exchanges and their pool; see the package's docstring for how they are used."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, cast

import httptools

from flockpy.http.messages import SILENT, ConnectError, ExchangeBroken, Head, Origin, Silent

HIGH_WATER: Final = 256 * 1024
"""Unread body bytes at which the socket is paused."""
MAX_HEAD: Final = 64 * 1024
"""Bytes an answer may take before its headers are complete."""
MAX_POOLED: Final = 1024
POOLED_S: Final = 4.0
"""Idle connections are dropped after this; llama.cpp closes its own after 5 s."""


class _Connection(asyncio.Protocol):
    """One socket and the parser of the answer under way. Owned by the pool when idle, by one Exchange when not.

    An answer that is whole is delivered whatever follows it; what follows it costs the connection its reuse.
    """

    def __init__(self, pool: "Client", origin: Origin) -> None:
        self.pool = pool
        self.origin = origin
        self.transport: asyncio.Transport  # set by the event loop before anybody sees the connection
        self.exchange: Exchange | None = None
        self._body: list[bytes] = []
        self.on_body = self._body.append  # the parser calls C: a stream is many small pieces, and all come at once
        self.parser = httptools.HttpResponseParser(self)
        self.idle_since = 0.0
        self._headers: list[tuple[bytes, bytes]] = []
        self._bodiless = 0  # bytes since the last of a body: a head, a chunk's framing or trailers
        self._complete = False
        self._reusable = False

    def begin(self, exchange: "Exchange", data: list[bytes]) -> None:
        self.exchange = exchange
        self._headers, self._bodiless, self._complete = [], 0, False
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
        exchange.touched()
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


Sink = Callable[[bytes], "asyncio.Future[None] | None"]
"""Takes bytes; answers what to wait for before it takes more, None when it can at once."""


class Exchange:
    """One request and its answer. Made by `Client.start`; used by one task."""

    def __init__(self, client: "Client", origin: Origin, data: list[bytes]) -> None:
        self.answer: Head | None = None
        self._client = client
        self._origin = origin
        self._request = data
        self._connection: _Connection | None = None
        self._loop = asyncio.get_running_loop()
        self._chunks: list[bytes] = []
        self._buffered = 0
        self._paused = False
        self._ended = False
        self._error: ExchangeBroken | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._last = self._loop.time()
        self._told = 0.0  # when silence was last reported
        self._reused = False
        self._heard = False
        self._sink: Sink | None = None
        self._on_silence: Callable[[], object] | None = None
        self._hold: asyncio.Future[None] | None = None

    async def head(self) -> Head | Silent:
        """The answer's status and headers, or SILENT after `silence_s` without them.

        Raises ExchangeBroken, and ConnectError when the second try finds nobody.
        """
        while self.answer is None:
            if self._error is not None:
                if not self._reused or self._error.answered:
                    raise self._error
                self._error = None
                await self.send(fresh=True)
            elif await self._silent():
                return SILENT
        self._request = []
        return self.answer

    async def read(self) -> bytes | Silent:
        """All body bytes at hand; b"" at the clean end; SILENT after `silence_s` without any. Raises ExchangeBroken."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            if await self._silent():
                return SILENT
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._buffered = 0
        self.resume()
        return data

    async def relay(self, sink: Sink, on_silence: Callable[[], object]) -> None:
        """Hand all body bytes to `sink` as they come, without a task switch for each; return at the clean end.

        While a future that `sink` answered is not done, nothing more is handed over, and past `HIGH_WATER` nothing is
        read. `on_silence` is called after each `silence_s` without a byte. Raises ExchangeBroken.
        """
        self._sink, self._on_silence = sink, on_silence
        self._client.watch(self)
        try:
            self._hand_over()
            while not self._ended or self._chunks or self._hold is not None:
                if self._error is not None:
                    raise self._error
                self._waiter = self._loop.create_future()
                await self._waiter
        finally:
            self._sink = self._waiter = None
            self._client.unwatch(self)

    async def body(self, limit: int) -> bytes:
        """The rest of the body, at most `limit` bytes. Raises ExchangeBroken, also when there is more."""
        parts: list[bytes] = []
        size = 0
        while True:
            data = await self.read()
            if isinstance(data, Silent):
                continue
            if not data:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            size += len(data)
            if size > limit:
                self.abort()
                raise ExchangeBroken(f"the answer exceeds {limit} bytes", answered=True)
            parts.append(data)

    def abort(self) -> None:
        """Close the connection unless the answer has ended; the peer sees its client go. A waiting read fails."""
        if not self._ended:
            self._drop("the exchange was aborted")

    async def send(self, *, fresh: bool) -> None:
        connection = None if fresh else self._client.take(self._origin)
        self._reused, self._heard = connection is not None, False
        if connection is None:
            connection = await self._client.connect(self._origin)
            if self._error is not None:  # aborted meanwhile: the peer must not get to work
                connection.close()
                return
        self._connection = connection
        self._last = self._loop.time()
        if connection.transport.is_closing():
            self.fail("the peer closed the connection at once")
        else:
            connection.begin(self, self._request)

    async def _silent(self) -> bool:
        """Wait for the connection to say something; True when it said nothing for `silence_s`."""
        self._waiter = self._loop.create_future()
        self._client.watch(self)
        try:
            return await self._waiter
        finally:
            self._waiter = None
            self._client.unwatch(self)

    def look(self, now: float) -> None:
        """Called by the client now and then while somebody waits for the peer."""
        quiet = now - self._last
        if quiet >= self._client.idle_s:
            self._drop(f"the peer was silent for {quiet:.0f} s")
        elif now - max(self._last, self._told) >= self._client.silence_s:
            self._told = now
            if self._sink is not None and self._on_silence is not None:
                self._on_silence()
            else:
                self._wake(silent=True)

    def _hand_over(self) -> None:
        sink = self._sink
        while sink is not None and self._chunks and self._hold is None:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks, self._buffered = [], 0
            self.resume()
            hold = sink(data)
            if hold is not None and not hold.done():
                self._hold = hold
                hold.add_done_callback(self._released)

    def _released(self, hold: "asyncio.Future[None]") -> None:
        self._hold = None
        if hold.cancelled() or hold.exception() is not None:
            self._drop("the receiver is gone")
        else:
            self._hand_over()
            self._wake()

    def _drop(self, message: str) -> None:
        if self._connection is not None and self._connection.exchange is self:
            self._connection.exchange = None
            self._connection.close()
        self._reused = False  # what we end ourselves is not sent again
        self.fail(message)

    def _wake(self, *, silent: bool = False) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(silent)

    # called by the connection
    def touched(self) -> None:
        self._last = self._loop.time()
        self._heard = True

    def wake(self) -> None:
        if self._sink is not None:
            self._hand_over()
        elif self.answer is not None:
            self._wake()

    def resume(self) -> None:
        if self._paused and self._connection is not None:
            self._paused = False
            self._last = self._loop.time()
            self._connection.transport.resume_reading()

    def received(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER and not self._paused and self._connection is not None:
            self._paused = True
            self._connection.transport.pause_reading()

    def end(self) -> None:
        self._ended = True
        self._connection = None
        self._hand_over()
        self._wake()

    def fail(self, message: str) -> None:
        self._error = ExchangeBroken(message, answered=self._heard)
        self._wake()


class Client:
    """Connections to any number of origins; belongs to one event loop."""

    def __init__(self, *, connect_s: float = 2.0, silence_s: float = 10.0, idle_s: float = 600.0) -> None:
        self.connect_s = connect_s
        self.silence_s = silence_s
        self.idle_s = idle_s
        self._idle: dict[Origin, deque[_Connection]] = {}
        self._closed = False
        self._waiting: set[Exchange] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    async def start(self, origin: Origin, head: bytes, body: bytes) -> Exchange:
        """Write a request and answer its exchange. Raises ConnectError."""
        exchange = Exchange(self, origin, [head, body] if body else [head])
        await exchange.send(fresh=False)
        return exchange

    async def close(self) -> None:
        """Drop the idle connections; those still at work are dropped when their exchange ends."""
        self._closed = True
        for connections in self._idle.values():
            for connection in list(connections):
                connection.close()
        self._idle.clear()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    async def connect(self, origin: Origin) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.connect_s):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, origin), origin.host, origin.port, ssl=origin.tls
                )
        except TimeoutError:
            raise ConnectError(
                f"no connection to {origin.host}:{origin.port} within {self.connect_s} s"
            ) from None
        except OSError as error:
            reason = "refused" if isinstance(error, ConnectionRefusedError) else error.strerror or error
            raise ConnectError(f"no connection to {origin.host}:{origin.port}: {reason}") from error
        except UnicodeError:
            raise ConnectError(f"no connection to {origin.host!r}: that is no host's name") from None
        return connection

    def take(self, origin: Origin) -> _Connection | None:
        """The most recently used idle connection that is still open and not too old."""
        idle = self._idle.get(origin)
        if not idle:
            return None
        oldest = asyncio.get_running_loop().time() - POOLED_S
        while idle:
            connection = idle.pop()
            if connection.idle_since <= oldest:
                connection.close()
            elif not connection.transport.is_closing():
                return connection
        return None

    def give_back(self, connection: _Connection) -> None:
        idle = self._idle.setdefault(connection.origin, deque())
        if self._closed or len(idle) >= MAX_POOLED:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        idle.append(connection)
        self._keep_sweeping()

    def forget(self, connection: _Connection) -> None:
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    def watch(self, exchange: Exchange) -> None:
        self._waiting.add(exchange)
        if self._sweeper is None:
            self._keep_sweeping()

    def unwatch(self, exchange: Exchange) -> None:
        self._waiting.discard(exchange)

    # One timer looks after all silences and idle connections: a timer for each exchange costs more than its answer.
    def _keep_sweeping(self) -> None:
        if self._sweeper is None and (self._idle or self._waiting):
            every = min(self.silence_s, self.idle_s, POOLED_S) / 4
            self._sweeper = asyncio.get_running_loop().call_later(every, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = asyncio.get_running_loop().time()
        for exchange in tuple(self._waiting):
            exchange.look(now)
        for origin, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= now - POOLED_S:
                idle.popleft().close()
            if not idle:
                del self._idle[origin]
        self._keep_sweeping()
