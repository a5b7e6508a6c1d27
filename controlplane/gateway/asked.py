"""One inference request on a client's connection: its head and body as they come, its answer as it goes."""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from controlplane.gateway.call import Call
from flockpy.errors import FlockError

if TYPE_CHECKING:
    from controlplane.gateway.connection import Connection

Headers = list[tuple[bytes, bytes]]

STATUS: Final = {s.value: b"HTTP/1.1 %d %b\r\n" % (s.value, s.phrase.encode()) for s in HTTPStatus}
STATUS[529] = b"HTTP/1.1 529 Overloaded\r\n"  # Anthropic's own
_LOOSE: Final = 1000
"""Pieces of a body that are kept as they came; small chunks for ever would cost many times what they bring."""


class Asked:
    """`headers` have their names in lower case, and stand in `named` by them. `size` counts the body's bytes, of which
    `parts` are here so far.

    It stands among uvicorn's request cycles on its connection, where `keep_alive`, `response_started` and
    `response_complete` are read.
    """

    call: Call
    task: "asyncio.Task[None] | None" = None
    refusal: FlockError | None = None
    """Why it is not served; its body is not read any further."""
    complete = False
    """The body is whole."""
    turn = False
    """The requests before it have been answered."""
    expects = False
    """The client waits for a word before it sends the body."""
    response_started = False
    """The head of a streamed answer is out."""
    response_complete = False
    """Nothing more is written: the answer is, or the client has gone."""
    _chunked = False
    _joined = 0  # so many of the first parts are whole thousands of those that came

    def __init__(
        self,
        connection: "Connection",
        method: bytes,
        path: bytes,
        headers: Headers,
        named: dict[bytes, bytes],
        *,
        http_1_0: bool,
        keep_alive: bool,
    ) -> None:
        self.connection = connection
        self.method = method
        self.path = path
        self.headers = headers
        self.named = named
        self.keep_alive = keep_alive
        self.parts: list[bytes] = []
        self.size = 0
        self._http_1_0 = http_1_0

    def take(self, body: bytes) -> None:
        """A further piece of the body has come."""
        self.size += len(body)
        parts = self.parts
        parts.append(body)
        if len(parts) - self._joined >= _LOOSE:
            parts[self._joined :] = [b"".join(parts[self._joined :])]
            self._joined += 1

    def left(self) -> None:
        """The client has gone."""
        self.response_complete = True
        if self.task is not None:
            self.call.cancel("client")

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """A whole answer. `headers`: lines for the head, but for those about connection and length."""
        if self.response_complete:
            return
        head = self._head(status, b"content-length: %d\r\n" % len(body), headers)
        self.connection.send(head if self.method == b"HEAD" else head + body)
        self._end()

    def begin(self, headers: bytes, data: bytes) -> "asyncio.Future[None] | None":
        """The head of a streamed answer and its first piece; answers what `write` does."""
        if self.response_complete:
            return None
        self.response_started = True
        self._chunked = not self._http_1_0
        self.keep_alive = (
            self.keep_alive and self._chunked
        )  # without chunks only the connection's end tells the end
        head = self._head(200, b"transfer-encoding: chunked\r\n" if self._chunked else b"", headers)
        self.connection.send(head)
        return self.write(data)

    def write(self, data: bytes) -> "asyncio.Future[None] | None":
        """A further piece (not empty); answers what to wait for before the next, None when nothing."""
        if self.response_complete:
            return None
        self.connection.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
        return self.connection.hold

    def end(self, data: bytes = b"") -> None:
        """The end of a streamed answer, after a last piece."""
        if self.response_complete:
            return
        if data:
            self.write(data)
        if self._chunked:
            self.connection.send(b"0\r\n\r\n")
        self._end()

    def _head(self, status: int, length: bytes, headers: bytes) -> bytes:
        self.keep_alive = self.keep_alive and self.complete  # what is left of the body is not waited for
        close = b"" if self.keep_alive else b"connection: close\r\n"
        return b"".join((status_line(status), self.connection.door.date, length, close, headers, b"\r\n"))

    def _end(self) -> None:
        self.response_complete = True
        self.connection.answered(self)


def status_line(status: int) -> bytes:
    """The first line of an answer; vendors, and what stands before them, have statuses that no standard knows."""
    return STATUS.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status
