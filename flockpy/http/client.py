"""Connections, exchanges and their pool; see the package's docstring for how they are used."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from flockpy.http.connection import Connection
from flockpy.http.messages import SILENT, ConnectError, ExchangeBroken, Head, Origin, Silent
from flockpy.http.outbox import Outbox
from flockpy.http.proxies import Proxies, ProxyError
from flockpy.http.tunnel import tunnel

HIGH_WATER: Final = 64 * 1024
"""Unread body bytes at which the socket is paused."""
MAX_POOLED: Final = 1024
POOLED_S: Final = 4.0
"""Idle connections are dropped after this; llama.cpp closes its own after 5 s."""


Sink = Callable[[bytes], "asyncio.Future[None] | None"]
"""Takes bytes; answers what to wait for before it takes more, None when it can at once."""


class Exchange:
    """One request and its answer. Made by `Client.start`; used by one task.

    Its connection sets `answer`, `last` (when the peer last said something, or was asked) and `heard` (whether it did),
    and reads `paused`.
    """

    answer: Head | None = None
    last = 0.0
    heard = False
    paused = False
    _connection: Connection | None = None
    _buffered = 0
    _ended = False
    _error: ExchangeBroken | None = None
    _waiter: "asyncio.Future[bool] | None" = None
    _told = 0.0  # when silence was last reported
    _reused = False
    _sink: Sink | None = None
    _on_silence: Callable[[], object] | None = None
    _hold: "asyncio.Future[None] | None" = None
    _receivers_error: Exception | None = None

    def __init__(self, client: "Client", origin: Origin, data: list[bytes]) -> None:
        self._client = client
        self._origin = origin
        self._request = data
        self._loop = client.loop
        self._chunks: list[bytes] = []

    async def head(self) -> Head | Silent:
        """The answer's status and headers, or SILENT after `silence_s` without them.

        Raises ExchangeBroken, and ConnectError when the second try finds nobody.
        """
        while self.answer is None:
            if self._error is not None:
                if not self._reused or self._error.answered:
                    raise self._error
                self._error = None
                await self.connect()
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
        if self.paused:
            self.resume()
        return data

    async def relay(self, sink: Sink, on_silence: Callable[[], object]) -> None:
        """Hand all body bytes to `sink` as they come, without a task switch for each; return at the clean end.

        While a future that `sink` answered is not done, nothing more is handed over, and past `HIGH_WATER` nothing is
        read. `on_silence` is called after each `silence_s` without a byte. Raises ExchangeBroken, and what these two
        raise; both are called by the event loop.
        """
        self._sink, self._on_silence = sink, on_silence
        try:
            self._hand_over()
            while not self._ended or self._chunks or self._hold is not None:
                if self._error is not None:
                    raise self._receivers_error or self._error
                self._waiter = self._loop.create_future()
                await self._waiter
            if self._receivers_error is not None:
                raise self._receivers_error
        finally:
            self._sink = self._waiter = None

    async def body(self, limit: int) -> bytes:
        """The rest of the body, at most `limit` bytes. Raises ExchangeBroken, also when there is more."""
        if self._ended and len(self._chunks) == 1 and len(self._chunks[0]) <= limit:
            return self._chunks.pop()
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

    async def connect(self) -> None:
        """Send the request on a connection of its own. Raises ConnectError."""
        connection = await self._client.connect(self._origin)
        if self._error is not None:  # aborted meanwhile: the peer must not get to work
            connection.close()
        else:
            self.send(connection, reused=False)

    def send(self, connection: Connection, *, reused: bool) -> None:
        self._reused, self.heard = reused, False
        self._connection = connection
        self.last = self._loop.time()
        if connection.transport.is_closing():
            self.fail("the peer closed the connection at once")
        else:
            client = self._client
            client.under_way.add(self)
            if client.sweeper is None:  # only now: the last sweep may have been while the connection was made
                client.keep_sweeping()
            connection.begin(self, self._request)

    async def _silent(self) -> bool:
        """Wait for the connection to say something; True when it said nothing for `silence_s`."""
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def look(self, now: float) -> None:
        """Called by the client now and then: end, or tell of, a silence that somebody waits in."""
        if self._waiter is None:
            return
        quiet = now - self.last
        if quiet >= self._client.idle_s:
            who = "the peer was silent" if self._hold is None else "the receiver took nothing"
            self._drop(f"{who} for {quiet:.0f} s")
        elif self._hold is None and now - max(self.last, self._told) >= self._client.silence_s:
            self._told = now
            if self._sink is not None and self._on_silence is not None:
                try:
                    self._on_silence()
                except Exception as error:  # noqa: BLE001 - raised by `relay`
                    self._receiver_failed(error)
            else:
                self._wake(silent=True)

    def _hand_over(self) -> None:
        sink = self._sink
        while sink is not None and self._chunks and self._hold is None:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            self._chunks, self._buffered = [], 0
            if self.paused:
                self.resume()
            try:
                hold = sink(data)
            except Exception as error:  # noqa: BLE001 - raised by `relay`
                self._receiver_failed(error)
                return
            if hold is not None and not hold.done():
                self._hold = hold
                hold.add_done_callback(self._released)

    def _receiver_failed(self, error: Exception) -> None:
        """It was called by the event loop, where nobody would learn of it."""
        self._sink, self._receivers_error = None, error
        self._drop("the receiver failed")

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
    def wake(self) -> None:
        if self._sink is not None:
            self._hand_over()
        elif self.answer is not None:
            self._wake()

    def resume(self) -> None:
        if self._connection is not None:
            self.paused = False
            self.last = self._loop.time()
            self._connection.transport.resume_reading()

    def received(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > HIGH_WATER and not self.paused and self._connection is not None:
            self.paused = True
            self._connection.transport.pause_reading()

    def end(self) -> None:
        self._ended = True
        self._connection = None
        self._client.under_way.discard(self)
        if self._sink is not None:
            self._hand_over()
        self._wake()

    def fail(self, message: str) -> None:
        self._error = ExchangeBroken(message, answered=self.heard)
        self._client.under_way.discard(self)
        self._wake()


class Client:
    """Connections to any number of origins; belongs to the event loop that runs when it is made.

    `proxies` stand before origins with TLS. `under_way`: the exchanges whose answers have not ended, over which
    `sweeper` watches.
    """

    def __init__(
        self,
        *,
        connect_s: float = 2.0,
        silence_s: float = 10.0,
        idle_s: float = 600.0,
        proxies: Proxies | None = None,
    ) -> None:
        self.connect_s = connect_s
        self.silence_s = silence_s
        self.idle_s = idle_s
        self.loop = asyncio.get_running_loop()
        self.outbox = Outbox(before=None)
        self._proxies = proxies
        self._idle: dict[Origin, deque[Connection]] = {}
        self._closed = False
        self.under_way: set[Exchange] = set()
        self.sweeper: asyncio.TimerHandle | None = None

    async def start(self, origin: Origin, head: bytes, body: bytes) -> Exchange:
        """Write a request and answer its exchange. Raises ConnectError."""
        exchange = Exchange(self, origin, [head, body] if body else [head])
        if (connection := self.take(origin)) is not None:
            exchange.send(connection, reused=True)
        else:
            await exchange.connect()
        return exchange

    async def close(self) -> None:
        """Drop the idle connections; those still at work are dropped when their exchange ends."""
        self._closed = True
        for connections in self._idle.values():
            for connection in list(connections):
                connection.close()
        self._idle.clear()
        if self.sweeper is not None:
            self.sweeper.cancel()
            self.sweeper = None

    async def connect(self, origin: Origin) -> Connection:
        loop, proxies = self.loop, self._proxies
        try:
            proxy = proxies.before(origin.host, origin.port) if proxies and origin.tls else None
            async with asyncio.timeout(self.connect_s):
                if proxy is None:
                    _, connection = await loop.create_connection(
                        lambda: Connection(self, origin), origin.host, origin.port, ssl=origin.tls
                    )
                else:
                    _, connection = await loop.create_connection(
                        lambda: Connection(self, origin),
                        sock=await tunnel(proxy, origin.host, origin.port),
                        ssl=origin.tls,
                        server_hostname=origin.host,
                    )
        except TimeoutError:
            raise ConnectError(
                f"no connection to {origin.host}:{origin.port} within {self.connect_s} s"
            ) from None
        except OSError as error:
            reason = "refused" if isinstance(error, ConnectionRefusedError) else error.strerror or error
            raise ConnectError(f"no connection to {origin.host}:{origin.port}: {reason}") from error
        except ProxyError as error:
            raise ConnectError(f"no connection to {origin.host}:{origin.port}: {error}") from None
        except UnicodeError:
            raise ConnectError(f"no connection to {origin.host!r}: that is no host's name") from None
        return connection

    def take(self, origin: Origin) -> Connection | None:
        """The most recently used idle connection that is still open and not too old."""
        idle = self._idle.get(origin)
        if not idle:
            return None
        oldest = self.loop.time() - POOLED_S
        while idle:
            connection = idle.pop()
            if connection.idle_since <= oldest:
                connection.close()
            elif not connection.transport.is_closing():
                return connection
        return None

    def give_back(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.origin, deque())
        if self._closed or len(idle) >= MAX_POOLED:
            connection.close()
            return
        connection.idle_since = self.loop.time()
        idle.append(connection)
        if self.sweeper is None:
            self.keep_sweeping()

    def forget(self, connection: Connection) -> None:
        idle = self._idle.get(connection.origin)
        if idle and connection in idle:
            idle.remove(connection)

    # One timer looks after all silences and idle connections: a timer for each exchange costs more than its answer.
    def keep_sweeping(self) -> None:
        every = min(self.silence_s, self.idle_s, POOLED_S) / 4
        self.sweeper = self.loop.call_later(every, self._sweep)

    def _sweep(self) -> None:
        self.sweeper = None
        now = self.loop.time()
        for exchange in tuple(self.under_way):
            exchange.look(now)
        for origin, idle in list(self._idle.items()):
            while idle and idle[0].idle_since <= now - POOLED_S:
                idle.popleft().close()
            if not idle:
                del self._idle[origin]
        if self._idle or self.under_way:
            self.keep_sweeping()
