"""What the simulated vendors share: a real HTTP server that keeps what it receives to the byte, and fails as told."""

import json
import socket
import struct
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, Literal, Self, TypeVar

from tests.simulators.tool_model import Turn

Where = Literal["head", "start", "reasoning", "text", "arguments"]
Piece = tuple[str, bytes]
"""A part of a stream, and the bytes of one event in it."""
READ_S = 0.2
"""A reset takes away what was sent and not yet read: so long there is to read it."""
KEY = "sk-simulated-0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next `times` answers.

    ====== ================================================================================================
    status an error answer of `status`, with `retry_after` (seconds) when it is not None
    page   the same as an HTML page, of what stands before the vendor
    drop   the connection is closed before any header of an answer
    cut    the stream ends after the first event of the part `within`, as if it were complete
    reset  the connection is reset there
    error  an error event comes there, and the stream ends; within the ``head`` of one it is all that comes
    ====== ================================================================================================

    A stream without the part `within` is not struck. A whole answer is cut or reset in its middle. `kind_of`, `code`
    and `message` replace what the vendor calls it.
    """

    kind: Literal["status", "page", "drop", "cut", "reset", "error"]
    times: int = 1
    within: Where = "start"
    status: int = 500
    retry_after: int | None = None
    kind_of: str | None = None
    code: str | None = None
    message: str = "scripted fault"


@dataclass(frozen=True, slots=True)
class Script:
    """How the vendor behaves. `turn`: what the model says; None: it does its task, or greets (`tool_model`).

    Seconds: `first_s` before any byte, `start_s` after a stream's first event, `chunk_s` after each event. `split`:
    characters per piece. `pings` begin a stream. `cache_read`, `cache_write`: tokens of the prompt. `stop`: the
    vendor's word for why the answer ended, where it is not the natural one.
    """

    turn: Turn | None = None
    reasoning: str = ""
    split: int = 12
    first_s: float = 0
    start_s: float = 0
    pings: int = 1
    chunk_s: float = 0
    cache_read: int = 0
    cache_write: int = 0
    stop: str | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """One request. `head` are its bytes up to the blank line, as they came; `headers` the same, names in lower case.

    `refused` says why it was answered with an error, "" when it was served.
    """

    method: str
    path: str
    head: bytes
    headers: tuple[tuple[str, str], ...]
    body: bytes
    refused: str

    def header(self, name: str) -> str | None:
        return next((value for known, value in self.headers if known == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"Received({self.method} {self.path}: {self.refused or 'served'})"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: whole (`body`), or streamed (`pieces`)."""

    status: int = 200
    body: bytes = b""
    pieces: Iterable[Piece] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    refused: str = ""


class Vendor:
    """A vendor that listens on loopback from `start` to `stop`, on a port of its own unless it is told one.

    `keys` are those it accepts; `struck`: how many answers its script's fault has struck.
    """

    def __init__(self, port: int = 0, keys: Iterable[str] = (KEY,)) -> None:
        self.keys = frozenset(keys)
        self.port = port
        self.stopped = threading.Event()
        self.behaviour = Script()
        self.requests: list[Received] = []
        self.struck = 0
        self._count = 0
        self._lock = threading.Lock()

    def start(self) -> Self:
        self._server = _Server(("127.0.0.1", self.port), _Handler)
        self._server.vendor = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def refusals(self) -> list[str]:
        """Everything that it refused so far, faults apart."""
        return [received.refused for received in self.requests if received.refused]

    def script(self, **behaviour: Any) -> None:
        """From now on behave so (the fields of `Script`), and forget what was received."""
        with self._lock:
            self.behaviour, self.struck = Script(**behaviour), 0
            self.requests.clear()

    def answer(self, request: Received, script: Script, number: int) -> Reply:
        """The answer to the request `number`, no fault struck."""
        raise NotImplementedError

    def failed(self, fault: Fault) -> bytes:
        """The body of an error answer."""
        raise NotImplementedError

    def broken(self, fault: Fault) -> bytes:
        """The event that ends a stream with an error."""
        raise NotImplementedError

    def headers(self, number: int) -> dict[str, str]:
        """What every answer has."""
        raise NotImplementedError

    def take(self, request: Received) -> tuple[int, Script, Reply, Fault | None]:
        """Note a request: its number, how to behave, its answer and the fault that strikes it."""
        with self._lock:
            self._count += 1
            number, script = self._count, self.behaviour
        reply = self.answer(request, script, number)
        if reply.pieces is not None:
            reply = replace(reply, pieces=tuple(reply.pieces))
        with self._lock:
            noted = Received(
                request.method, request.path, request.head, request.headers, request.body, reply.refused
            )
            self.requests.append(noted)
            fault = script.fault
            if fault is None or reply.refused or request.method != "POST" or self.struck >= fault.times:
                return number, script, reply, None
            if not _meets(reply, fault):
                return number, script, reply, None
            self.struck += 1
            return number, script, reply, fault


def _meets(reply: Reply, fault: Fault) -> bool:
    """Whether a fault can strike an answer."""
    if reply.pieces is None or fault.kind in ("status", "page", "drop") or fault.within == "head":
        return True
    return any(part == fault.within for part, _ in reply.pieces)


_V = TypeVar("_V", bound=Vendor)


class _Recording(BufferedIOBase):
    """Keeps the lines that are read: those of the head."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.lines: list[bytes] = []

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> bytes:
        line: bytes = self._inner.readline(size)
        self.lines.append(line)
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        return self._inner.read(size)

    def close(self) -> None:
        self._inner.close()
        super().close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    vendor: Vendor

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to speak of."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self._recording = _Recording(self.rfile)
        self.rfile = self._recording

    def handle_one_request(self) -> None:
        self._recording.lines.clear()
        super().handle_one_request()

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        head = b"".join(self._recording.lines[:-1])
        headers = tuple((name.lower(), value) for name, value in self.headers.items())
        body = self._body()
        assert isinstance(self.server, _Server)
        vendor = self.server.vendor
        request = Received(self.command, self.path, head, headers, body, "")
        number, script, reply, fault = vendor.take(request)
        vendor.stopped.wait(script.first_s)
        common = vendor.headers(number)
        if fault and fault.kind == "drop":
            self.close_connection = True
        elif fault and fault.kind == "page":
            page = f"<html><head><title>{fault.message}</title></head></html>".encode()
            self._whole(fault.status, common | {"content-type": "text/html"}, page)
        elif fault and (fault.kind == "status" or (fault.kind == "error" and reply.pieces is None)):
            waits = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            self._whole(fault.status, common | waits, vendor.failed(fault))
        elif reply.pieces is None:
            self._whole(reply.status, common | dict(reply.headers), reply.body, fault)
        else:
            self._stream(reply, common, script, fault, vendor)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _whole(
        self, status: int, headers: Mapping[str, str], body: bytes, fault: Fault | None = None
    ) -> None:
        sized = {"content-type": "application/json", "content-length": str(len(body))}
        self._head(status, {**sized, **headers})
        if fault is None:
            self.wfile.write(body)
        else:
            self.wfile.write(body[: len(body) // 2])
            self._end(fault)

    def _stream(
        self, reply: Reply, common: dict[str, str], script: Script, fault: Fault | None, vendor: Vendor
    ) -> None:
        framing = {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "transfer-encoding": "chunked",
        }
        self._head(reply.status, framing | common)
        assert reply.pieces is not None
        if fault and fault.within == "head":
            if fault.kind == "error":
                self._chunk(vendor.broken(fault))
            self._end(fault)
            return
        for part, event in reply.pieces:
            self._chunk(event)
            if fault and part == fault.within:
                if fault.kind == "error":
                    self._chunk(vendor.broken(fault))
                self._end(fault)
                return
            vendor.stopped.wait(script.start_s if part == "start" else script.chunk_s)
        self.wfile.write(b"0\r\n\r\n")

    def _end(self, fault: Fault) -> None:
        self.close_connection = True
        if fault.kind == "reset":
            assert isinstance(self.server, _Server)
            self.server.vendor.stopped.wait(READ_S)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault.kind in ("cut", "error") and self.command == "POST":
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def running(vendor: _V) -> Iterator[_V]:
    """The vendor, and nothing left of it afterwards."""
    vendor.start()
    try:
        yield vendor
    finally:
        vendor.stop()
