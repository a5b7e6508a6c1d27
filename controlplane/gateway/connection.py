"""A client's connection. uvicorn speaks HTTP and ASGI on it for the admin application; inference takes a shorter way.

The short way costs a third of an ASGI server's, because nothing is built for a request that it does not need, and its
answer goes to the socket as bytes. What a request may cost before it is whole is bounded in size, number and patience.
"""

import asyncio
from typing import Any, Final, Protocol, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from controlplane.gateway.asked import Asked
from flockpy.config import Limits
from flockpy.errors import BadRequest, BodyTimeout, BodyTooLarge, FlockError

MAX_HEAD: Final = 64 * 1024
MAX_HEADERS: Final = 200
HEAD_S: Final = 10.0
IDLE_S: Final = 75.0
LINGER_S: Final = 2.0
"""How long what a refused client still sends is thrown away: a socket closed over unread bytes loses the answer."""
STALLED_S: Final = 600.0
"""How long a client may take nothing of an answer that is ready."""

_HEAD_TOO_LARGE_HEAD: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
)
_HEAD_TOO_LARGE: Final = (
    b'{"error":{"code":"headers_too_large","message":"the headers exceed %d bytes or %d lines"}}'
    % (MAX_HEAD, MAX_HEADERS)
)
_NONE: Final = cast("RequestResponseCycle", None)
"""uvicorn's own initial value of `cycle`."""


class Plane(Protocol):
    """Who answers inference requests."""

    def serves(self, path: bytes) -> bool:
        """Whether a request for this path (undecoded, without its query) is one."""
        ...

    def accept(self, asked: Asked) -> None:
        """Its head is there; its body is read when nothing is wrong. Raises FlockError."""
        ...

    def start(self, asked: Asked) -> None:
        """It is whole, and those before it have been answered."""
        ...

    def refuse(self, asked: Asked, error: FlockError) -> None:
        """Answer an error instead of starting it."""
        ...


class Door:
    """What the connections of a listener share. `date` is the header line of this second, `empty` set while there are
    none."""

    def __init__(self, config: Config, plane: Plane, limits: Limits) -> None:
        self.config = config
        self.app = cast("ASGI3Application", config.loaded_app)  # pyright: ignore[reportUnknownMemberType]
        self.plane = plane
        self.limits = limits
        self.state = ServerState()
        self.empty = asyncio.Event()
        self.date = b""


class Connection(HttpToolsProtocol):
    """`hold` is done once a client that reads too slowly has caught up, None while nobody need wait for it."""

    hold: "asyncio.Future[None] | None" = None
    _in_head = False
    _head_size = 0
    _deaf = False  # nothing more is read of what it sends
    _last = 0.0  # when it last sent something, or was last answered
    _serving: Asked | None = None

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(door.config, door.state, {}, loop)
        self.door = door
        self._parser = cast("httptools.HttpRequestParser", self.parser)
        self._last = loop.time()

    def look(self, now: float) -> None:
        """Called by the listener now and then: end what takes too long."""
        quiet, idle = now - self._last, self._idle()
        asked = self._arriving()
        if self._deaf:
            if idle and quiet >= LINGER_S:
                self.transport.abort()
        elif self.hold is not None:
            if quiet >= STALLED_S:
                self.transport.abort()
        elif self._in_head:
            if quiet >= HEAD_S:
                self.transport.abort()
        elif asked is not None:
            limits = self.door.limits
            if quiet >= limits.body_read_seconds or now - asked.since >= limits.body_total_seconds:
                late = BodyTimeout("the body stopped arriving", field="body", hint="send it without pauses")
                self._refuse(asked, late)
        elif idle and quiet >= IDLE_S:
            self.transport.close()

    def answered(self, asked: Asked) -> None:
        """Called when the answer to `asked` has been written."""
        self._serving = None
        self._last = self.loop.time()
        if self.transport.is_closing():
            return
        if not asked.keep_alive:
            self._deaf = True
            if asked.complete:
                self.transport.close()
        elif self.pipeline or self.flow.read_paused:
            self.on_response_complete()

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.door.empty.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        if not self._in_head:
            self._last = (
                self.loop.time()
            )  # a head has to be whole in time, however often a little of it comes
        self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._keep_to_http()
        except httptools.HttpParserError:
            if not self._deaf:
                self._misunderstood()
        if self._in_head and self._head_size > MAX_HEAD:
            self._refuse_head()

    def eof_received(self) -> None:
        if (asked := self._arriving()) is not None:
            self._refuse(asked, _framed_wrongly())

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in (self._serving, self.cycle, *(cycle for cycle, _ in self.pipeline)):
            if isinstance(cycle, Asked):
                cycle.left()
        if isinstance(self.cycle, Asked):
            self.cycle = _NONE
        self.resume_writing()
        super().connection_lost(exc)
        if not self.door.state.connections:
            self.door.empty.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.hold is None:
            self.hold = self.loop.create_future()
            self._last = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        hold, self.hold = self.hold, None
        if hold is not None and not hold.done():
            hold.set_result(None)

    # callbacks of the parser
    def on_message_begin(self) -> None:
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        size, self._head_size = self._head_size, 0
        if len(self.headers) > MAX_HEADERS or (
            size > MAX_HEAD and _size_of(self.url, self.headers) > MAX_HEAD
        ):
            self._refuse_head()
            raise ValueError("the head is too large")  # ends the parsing
        path = self.url.partition(b"?")[0]
        if not self.door.plane.serves(path):
            self._begin_scope()
            super().on_headers_complete()
            return
        old = self._parser.get_http_version() == "1.0"
        keep_alive = not old and self._parser.should_keep_alive()
        asked = Asked(
            self, self._parser.get_method(), path, self.headers, http_1_0=old, keep_alive=keep_alive
        )
        asked.turn = self._idle()
        self.cycle = cast("RequestResponseCycle", asked)
        if not asked.turn:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.door.app))
        try:
            self.door.plane.accept(asked)
        except FlockError as error:
            self._refuse(asked, error)
        else:
            if self.expect_100_continue:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        asked = self.cycle
        if not isinstance(asked, Asked):
            super().on_body(body)
        elif asked.refusal is None:
            asked.parts.append(body)
            asked.size += len(body)
            if asked.size > self.door.limits.body_bytes:
                self._refuse(asked, too_large(self.door.limits))

    def on_message_complete(self) -> None:
        asked = self.cycle
        if not isinstance(asked, Asked):
            super().on_message_complete()
        elif asked.refusal is None:
            asked.complete = True
            if asked.turn:
                self._serve(asked)
        self._head_size = 0

    def _begin_scope(self) -> None:
        """What uvicorn does when a message begins, of which inference has no need."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers

    # requests that came before their turn
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not isinstance(cycle, Asked):
            super()._start_asgi_task(cycle, app)
            return
        cycle.turn = True
        if cycle.refusal is not None:
            self.door.plane.refuse(cycle, cycle.refusal)
        elif cycle.complete:
            self._serve(cycle)

    def _serve(self, asked: Asked) -> None:
        self._serving = asked
        self.door.plane.start(asked)

    def _refuse(self, asked: Asked, error: FlockError) -> None:
        asked.refusal = error
        if asked.turn:
            self.door.plane.refuse(asked, error)

    def _arriving(self) -> Asked | None:
        """The inference request whose body is on its way."""
        asked = self.cycle
        return asked if isinstance(asked, Asked) and not asked.complete and asked.refusal is None else None

    def _misunderstood(self) -> None:
        """What came is no HTTP."""
        if (asked := self._arriving()) is not None:
            self._refuse(asked, _framed_wrongly())
        elif not self._end_after_answer():
            self.send_400_response("Invalid HTTP request received.")

    def _refuse_head(self) -> None:
        if not self._end_after_answer():
            length = b"content-length: %d\r\n" % len(_HEAD_TOO_LARGE)
            self.transport.write(
                _HEAD_TOO_LARGE_HEAD + length + b"connection: close\r\n\r\n" + _HEAD_TOO_LARGE
            )

    def _keep_to_http(self) -> None:
        """It asks for another protocol, as some clients do unasked; the parser stops behind such a request."""
        self._unsupported_upgrade_warning()
        self._end_after_answer()

    def _end_after_answer(self) -> bool:
        """Read no more; the connection ends when what is being answered has been. False when nothing is."""
        self._deaf = True
        if self._idle():
            return False
        self.cycle.keep_alive = False
        return True

    def _idle(self) -> bool:
        """Nothing has been asked that is not answered."""
        latest = cast("RequestResponseCycle | None", self.cycle)
        return latest is None or latest.response_complete


def too_large(limits: Limits) -> BodyTooLarge:
    """The error for a body over the limit."""
    return BodyTooLarge(
        f"the body exceeds {limits.body_bytes} bytes",
        field="body",
        hint="an admin can raise limits.body_bytes",
    )


def _framed_wrongly() -> BadRequest:
    return BadRequest("the body ended before it was complete, or is framed wrongly", field="body")


def _size_of(url: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) for name, value in headers)
