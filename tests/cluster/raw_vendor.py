"""A vendor that answers with any bytes at all, and remembers what it was asked."""

import re
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

Answer = Iterable[bytes | float]
"""Bytes to send, and seconds to wait before the next; then the connection is closed."""


@dataclass(frozen=True, slots=True)
class Heard:
    head: bytes
    body: bytes

    @property
    def target(self) -> str:
        return self.head.split(b" ")[1].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode("latin-1").split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines if line)


class RawVendor:
    """On loopback, with TLS where it has a context. `say` sets what every request is answered from now on."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[Heard] = []
        self._answer: Answer = ()
        self.stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}"

    def say(self, *answer: bytes | float) -> None:
        self._answer = answer
        self.requests.clear()

    def say_for_ever(self, head: bytes, again: bytes) -> None:
        """`head`, then `again` without end."""
        self._answer = _endless(head, again)
        self.requests.clear()

    def stop(self) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in (self._accepting, *self._threads):
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket) -> None:
        plain.settimeout(20)
        with suppress(OSError), self._wrapped(plain) as connection:
            heard = _read(connection)
            if heard is None:
                return
            self.requests.append(heard)
            for part in self._answer:
                if isinstance(part, bytes):
                    connection.sendall(part)
                elif self.stopped.wait(part):
                    return

    def _wrapped(self, plain: socket.socket) -> socket.socket:
        return self._tls.wrap_socket(plain, server_side=True) if self._tls else plain


class _Endless:
    def __init__(self, head: bytes, again: bytes) -> None:
        self._head = head
        self._again = again

    def __iter__(self) -> Iterator[bytes | float]:
        yield self._head
        while True:
            yield self._again


def _endless(head: bytes, again: bytes) -> Answer:
    return _Endless(head, again)


def _read(connection: socket.socket) -> Heard | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: (\d+)", head)
    while found and len(body) < int(found[1]):
        body += connection.recv(65536)
    return Heard(head, body)


def whole(
    body: bytes, *, status: int = 200, kind: bytes = b"application/json", headers: bytes = b""
) -> bytes:
    """An answer; `headers` are whole lines."""
    head = b"HTTP/1.1 %d Said\r\ncontent-type: %b\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, kind, headers, len(body)) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST = b"0\r\n\r\n"


@contextmanager
def raw_vendor(tls: ssl.SSLContext | None = None) -> Iterator[RawVendor]:
    vendor = RawVendor(tls)
    try:
        yield vendor
    finally:
        vendor.stop()
