"""A client's connection. uvicorn speaks HTTP and ASGI on it for the admin application; inference takes a shorter way.

The short way costs a third of an ASGI server's, because nothing is built for a request that it does not need, and its
answer goes to the socket as bytes. What a request may cost before it is whole is bounded in size, number and patience.
"""

import asyncio
import logging
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from controlplane.gateway.asked import STATUS, Asked
from controlplane.gateway.door import (
    AHEAD,
    AT_ONCE,
    HEAD_S,
    IDLE_S,
    LINGER_S,
    MAX_HEAD,
    MAX_HEADERS,
    STALLED_S,
    Door,
    Enough,
    framed_wrongly,
    left_early,
    names_a_host,
    size_of,
    tell_left,
    too_large,
    too_much,
    unaddressed,
    without_origin,
)
from controlplane.protocols.openai_error import error_body
from flockpy.errors import BadRequest, BodyTimeout, FlockError

log = logging.getLogger(__name__)

_NONE: Final = cast("RequestResponseCycle", None)
"""uvicorn's own initial value of `cycle`."""
_WORDS_OF_CLIENTS: Final = (httptools.HttpParserInvalidURLError, UnicodeDecodeError)
"""What a callback raises over what it was given; anything else is a defect of ours."""


class Connection(HttpToolsProtocol):
    """`hold` is done once a client that reads too slowly has caught up, None while nobody need wait for it.

    Of uvicorn's attributes `cycle` is the latest request, `pipeline` those that wait for their turn, newest first.
    """

    hold: "asyncio.Future[None] | None" = None
    _in_head = False
    _barren = 0  # bytes that came since the last that were of use
    _upgrading = False
    _deaf = False  # nothing more is read of what it sends
    _last = 0.0  # when it last sent something, or was last answered
    _since = 0.0  # since when the body that is on its way could come
    _serving: "Asked | RequestResponseCycle | None" = None
    _closes = False  # once all is written
    _unsent_size = 0

    def __init__(self, door: Door, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(door.config, door.state, {}, loop)
        self.door = door
        self._parser = cast("httptools.HttpRequestParser", self.parser)
        self._unsent: list[bytes] = []
        self._last = loop.time()

    def send(self, data: bytes) -> None:
        """Write it at the end of this turn of the event loop, or now when it is much."""
        if not self._unsent:
            self.door.outbox.add(self)
        self._unsent.append(data)
        self._unsent_size += len(data)
        if self._unsent_size >= AT_ONCE:
            self.door.outbox.flush()

    def flush(self) -> None:
        unsent, self._unsent, self._unsent_size = self._unsent, [], 0
        if unsent and not self.transport.is_closing():
            self.transport.writelines(unsent)
            if self._closes:
                self.transport.close()

    def look(self, now: float) -> None:
        """Called by the listener now and then: end what takes too long."""
        quiet, idle = now - self._last, self._idle()
        if self.hold is not None or (idle and self.transport.get_write_buffer_size()):
            if quiet >= STALLED_S:
                self.transport.abort()
        elif self._deaf:
            if idle and quiet >= LINGER_S:
                self.transport.abort()
        elif self.flow.read_paused:
            pass  # it is the client who waits
        elif self._in_head:
            if quiet >= HEAD_S and not self._end_after_answer():
                self.transport.abort()
        elif (cycle := self._arriving()) is not None:
            limits = self.door.limits
            over = max(quiet - limits.body_read_seconds, now - self._since - limits.body_total_seconds)
            if not isinstance(cycle, Asked):
                if over >= LINGER_S:  # the application may answer first
                    self.transport.abort()
            elif over >= 0:
                late = BodyTimeout("the body stopped arriving", field="body", hint="send it without pauses")
                self._refuse(cycle, late)
        elif idle and quiet >= IDLE_S:
            self.transport.close()

    def answered(self, asked: Asked) -> None:
        """Called when the answer to `asked` has been written."""
        self._serving = None
        self._last = self.loop.time()
        if not asked.keep_alive:
            if asked.complete and not self._deaf:
                self._close()
            self._deaf = True
            self.pipeline.clear()
            self.cycle = cast("RequestResponseCycle", asked)
        elif self.pipeline or self.flow.read_paused:
            self._next()

    # asyncio.Protocol
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.door.empty.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if not self._in_head:  # a head has to be whole in time, however often a little of it comes
            self._last = self.loop.time()
        self._barren += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay_with_http(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._deaf:
                self._fail(error)
        if self._barren > MAX_HEAD and not self._deaf:
            self._end(too_much())

    def eof_received(self) -> None:
        arriving = self._arriving()
        asked = self._serving or arriving
        error = framed_wrongly() if asked is arriving else left_early()
        if isinstance(asked, Asked) and asked is arriving:
            self._refuse(asked, error)
        elif asked is not None and not asked.response_started:
            tell_left(asked)
            self._answer(error)
        self.door.outbox.flush()  # the event loop closes the connection now

    def connection_lost(self, exc: Exception | None) -> None:
        for cycle in (self._serving, self.cycle, *(cycle for cycle, _ in self.pipeline)):
            if cycle is not None:
                tell_left(cycle)
        self.pipeline.clear()
        self._serving, self.cycle = None, _NONE
        self._release()
        super().connection_lost(exc)
        del self._parser  # it and the connection hold each other
        if not self.door.state.connections:
            self.door.empty.set()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.flow.pause_reading()  # who takes no answers shall ask no more
        if self.hold is None:
            self.hold = self.loop.create_future()
            self._last = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._release()
        if self._serving is None:
            self._next()
        elif not self.pipeline and not self.transport.is_closing():
            self.flow.resume_reading()

    # callbacks of the parser
    def on_message_begin(self) -> None:
        if self._deaf or len(self.pipeline) >= AHEAD:
            self._end_after_answer()
            raise Enough
        self.url, self.headers = b"", []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        size, self._barren = self._barren, 0
        if len(self.headers) > MAX_HEADERS or (
            size > MAX_HEAD and size_of(self.url, self.headers) > MAX_HEAD
        ):
            self._end(too_much())
            raise Enough
        if self._parser.should_upgrade():
            self._upgrading = True
            return
        if self.url[:1] != b"/":
            self.url = without_origin(self.url)
        path = self.url.partition(b"?")[0]
        old = self._parser.get_http_version() != "1.1"
        named = dict(self.headers)
        if not (len(named) == len(self.headers) and b"host" in named) and not names_a_host(self.headers, old):
            self._end(unaddressed())
            raise Enough
        self.expect_100_continue = named.get(b"expect", b"").lower() == b"100-continue"
        self._since = self._last
        if not self.door.plane.serves(path):
            self._begin_scope()
            super().on_headers_complete()
            self.headers = []  # trailers are none
            return
        keep_alive = not old and self._parser.should_keep_alive()
        headers, self.headers = self.headers, []
        asked = Asked(
            self, self._parser.get_method(), path, headers, named, http_1_0=old, keep_alive=keep_alive
        )
        asked.turn = self._idle()
        self.cycle = asked  # type: ignore[assignment]  # as by `cast`, which is a call
        if not asked.turn:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.door.app))
        try:
            self.door.plane.accept(asked)
        except FlockError as error:
            self._refuse(asked, error)
        else:
            if self.expect_100_continue and not old:
                asked.expects = True
                if asked.turn:
                    self._go_on(asked)

    def on_body(self, body: bytes) -> None:
        self._barren = 0
        asked = self.cycle
        if not isinstance(asked, Asked):
            super().on_body(body)
        elif asked.refusal is None:
            asked.take(body)
            if asked.size > self.door.limits.body_bytes:
                self._refuse(asked, too_large(self.door.limits))

    def on_message_complete(self) -> None:
        self._barren = 0
        if self._upgrading:
            self._upgrading = False
            return
        asked = self.cycle
        if not isinstance(asked, Asked):
            super().on_message_complete()
            asked.more_body = False  # which uvicorn does not say of a request that is answered already
            return
        asked.complete = True
        if asked.refusal is None:
            if asked.turn:
                self._serve(asked)
        elif asked.response_complete:
            self._close()

    def _begin_scope(self) -> None:
        """What uvicorn does when a message begins, of which inference has no need."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers

    # requests that came before their turn
    def on_response_complete(self) -> None:
        """Called when the application has answered."""
        self._serving = None
        self._last = self.loop.time()
        self._next()

    def _next(self) -> None:
        """Go on with what has come since, once the client has taken enough of the answers; then read more."""
        if self.hold is not None or self.transport.is_closing():
            return
        self._since = self._last
        waited = self.pipeline.pop() if self.pipeline else None
        if not self.pipeline:
            self.flow.resume_reading()
        if waited is not None:
            self._start_asgi_task(*waited)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not isinstance(cycle, Asked):
            self._serving = cycle
            super()._start_asgi_task(cycle, app)
            return
        cycle.turn = True
        if cycle.refusal is not None:
            self.door.plane.refuse(cycle, cycle.refusal)
        elif cycle.complete:
            self._serve(cycle)
        elif cycle.expects:
            self._go_on(cycle)

    def _serve(self, asked: Asked) -> None:
        self._serving = asked
        self.door.plane.start(asked)

    def _refuse(self, asked: Asked, error: FlockError) -> None:
        asked.refusal = error
        asked.parts.clear()
        if asked.turn:
            self.door.plane.refuse(asked, error)

    def _go_on(self, asked: Asked) -> None:
        """Its client sends the body only when it is told to."""
        self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _arriving(self) -> "Asked | RequestResponseCycle | None":
        """The request whose body is on its way."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if isinstance(cycle, Asked):
            return None if cycle.complete or cycle.refusal is not None else cycle
        return cycle if cycle is not None and cycle.more_body else None

    # ends
    def _close(self) -> None:
        if self._unsent:
            self._closes = True
        else:
            self.transport.close()

    def _fail(self, error: httptools.HttpParserError) -> None:
        """The parser has given up: what came is no HTTP, or we could not take it."""
        cause = error.__context__
        if not isinstance(error, httptools.HttpParserCallbackError) or isinstance(cause, _WORDS_OF_CLIENTS):
            self._end(framed_wrongly() if self._arriving() else BadRequest("this is no HTTP request"))
            return
        log.error("a request could not be taken in", exc_info=cause)
        if self._arriving() is None and not self._idle():
            self.transport.abort()  # who knows which of those that are being answered it was
        else:
            self._end(FlockError("the leader failed on this request; its log says why"))

    def _end(self, error: FlockError) -> None:
        """Answer an error to what is arriving, in its turn, and be done with this client."""
        cycle = self._arriving()
        if isinstance(cycle, Asked):
            self._deaf = True
            self._refuse(cycle, error)
        elif cycle is None:
            if not self._end_after_answer():
                self._answer(error)
        elif cycle is self._serving and not cycle.response_started:
            self._end_after_answer()
            tell_left(cycle)
            self._answer(error)
        elif self._end_after_answer():
            self.transport.abort()

    def _answer(self, error: FlockError) -> None:
        """An answer to what is no request."""
        self._last = self.loop.time()
        body = error_body(error)
        lines = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(
            body
        )
        self.send(b"".join((STATUS[error.status], self.door.date, lines, body)))

    def _stay_with_http(self, rest: bytes) -> None:
        """Behind a request for another protocol, which some clients send unasked, the parser stops: it is given the
        request anew without that wish."""
        method, version = self._parser.get_method(), self._parser.get_http_version()
        if method == b"CONNECT":
            self._end(BadRequest("this is no proxy"))
            return
        lines = [b"%b %b HTTP/%b" % (method, self.url, version.encode())]
        lines += (b"%b: %b" % header for header in self.headers if header[0] != b"upgrade")
        self.data_received(b"\r\n".join((*lines, b"", rest)))

    def _end_after_answer(self) -> bool:
        """Read no more; the connection ends when what is being answered has been. False when nothing is."""
        self._deaf = True
        if self._idle():
            return False
        self.cycle.keep_alive = False
        return True

    def _release(self) -> None:
        hold, self.hold = self.hold, None
        if hold is not None and not hold.done():
            hold.set_result(None)

    def _idle(self) -> bool:
        """Nothing has been asked that is not answered."""
        return not self.cycle or self.cycle.response_complete
