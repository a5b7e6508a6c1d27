"""A connection without a socket: bytes go in, bytes come out; who answers is the test itself."""

import asyncio
from typing import Any

from uvicorn.config import Config

from controlplane.gateway.asked import Asked
from controlplane.gateway.connection import Connection
from controlplane.gateway.door import Door
from flockpy.config import Limits
from flockpy.errors import FlockError, Forbidden
from flockpy.http import Outbox

LIMITS = Limits(body_bytes=1000, body_read_seconds=5, body_total_seconds=20)


def post(path: bytes = b"/v1/chat", body: bytes = b"hi", *lines: bytes, version: bytes = b"1.1") -> bytes:
    extra = b"".join(line + b"\r\n" for line in lines)
    length = b"content-length: %d\r\n" % len(body)
    return b"POST %b HTTP/%b\r\nhost: a\r\n%b%b\r\n%b" % (path, version, length, extra, body)


def get(path: bytes, *lines: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nhost: a\r\n%b\r\n" % (path, b"".join(line + b"\r\n" for line in lines))


def chunked(*pieces: bytes, path: bytes = b"/v1/chat") -> bytes:
    head = b"POST %b HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n" % path
    return head + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def statuses(written: bytes) -> list[int]:
    return [int(part[:3]) for part in written.split(b"HTTP/1.1 ")[1:]]


class Call:
    def __init__(self) -> None:
        self.cancelled_by = ""

    def cancel(self, by: str) -> None:
        self.cancelled_by = by


class Plane:
    """Serves /v1/…, in order `accepted` and `started`. /v1/forbidden is, and on a /v1/defect it breaks."""

    def __init__(self) -> None:
        self.accepted: list[Asked] = []
        self.started: list[Asked] = []

    def serves(self, path: bytes) -> bool:
        return path.startswith(b"/v1/")

    def accept(self, asked: Asked) -> None:
        asked.call = Call()  # type: ignore[assignment]
        self.accepted.append(asked)
        if asked.path == b"/v1/forbidden":
            raise Forbidden("no")
        if asked.path == b"/v1/defect":
            raise KeyError("oops")

    def start(self, asked: Asked) -> None:
        if asked.path == b"/v1/defect-later":
            raise KeyError("oops")
        asked.task = asyncio.get_running_loop().create_future()  # type: ignore[assignment]
        self.started.append(asked)

    def refuse(self, asked: Asked, error: FlockError) -> None:
        asked.answer(error.status, b"", error.code.encode())


class Transport(asyncio.Transport):
    """`written` and `closed` tell what went out, and whether that was all, once this turn of the loop has ended.

    `unsent` pretends that so much still waits.
    """

    def __init__(self, outbox: Outbox) -> None:
        super().__init__({"peername": ("10.0.0.9", 4711), "sockname": ("10.0.0.1", 80)})
        self._outbox = outbox
        self.pieces: list[bytes] = []
        self._closed = self.aborted = self.paused = False
        self.unsent = 0

    @property
    def written(self) -> bytes:
        self._outbox.flush()
        return b"".join(self.pieces)

    @property
    def closed(self) -> bool:
        self._outbox.flush()
        return self._closed

    def write(self, data: Any) -> None:
        assert not self.aborted, data
        self.pieces.append(data)

    def close(self) -> None:
        self._closed = True

    def abort(self) -> None:
        self._closed = self.aborted = True

    def is_closing(self) -> bool:
        return self._closed

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Wire:
    """`connection` on a `transport`, to a `plane` and to an application that says what it was sent.

    The application waits for `opened` on /slow, for the end of the client on /events, and reads no body on /deaf.
    """

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.loop = asyncio.get_running_loop()
        outbox = Outbox(before=None)
        self.plane, self.transport = Plane(), Transport(outbox)
        self.opened = asyncio.Event()
        self.scopes: list[Any] = []
        self.ended: list[str] = []
        config = Config(self._application, interface="asgi3", lifespan="off", ws="none", log_config=None)
        config.load()
        self.door = Door(config, self.plane, limits, outbox)
        self.door.date = b"date: today\r\n"
        self.connection = Connection(self.door, self.loop)
        self.connection.connection_made(self.transport)

    async def send(self, *parts: bytes) -> bytes:
        """Let them arrive, as far as they are read; answers all that went out since the last time."""
        before = len(self.transport.written)
        for part in parts:
            self.connection.data_received(part)
            await self.settle()
        return self.transport.written[before:]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    def look(self, after: float) -> None:
        """The listener's look, so many seconds from now, in a turn of its own."""
        self.connection.look(self.loop.time() + after)
        self.door.outbox.flush()

    def lose(self) -> None:
        self.transport.abort()
        self.connection.connection_lost(ConnectionResetError())

    async def _application(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        path, body = scope["path"], b""
        if path == "/slow":
            await self.opened.wait()
        while path != "/deaf":
            message = await receive()
            if message["type"] == "http.disconnect":
                self.ended.append(path)
                return
            body += message["body"]
            if not message["more_body"]:
                break
        if path == "/events":
            await receive()
            self.ended.append(path)
            return
        said = path.encode() + b" " + body
        headers = [(b"content-length", b"%d" % len(said))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": said})
