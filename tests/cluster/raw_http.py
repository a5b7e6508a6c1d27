"""HTTP as no library would send it: bytes on a socket, and what comes back."""

import json
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.cluster.program import Program

CHAT = b"/v1/chat/completions"
GOOD = json.dumps({"model": "flock-demo", "messages": [{"role": "user", "content": "hi"}]}).encode()


@dataclass(frozen=True)
class Answer:
    """`status` 0: the connection ended without an answer. `rest`: what came after this answer. `seconds` until it."""

    status: int
    headers: dict[str, str]
    body: bytes
    rest: bytes
    seconds: float

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's shape."""
        assert self.headers["content-type"] == "application/json", self.body
        error = json.loads(self.body)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return error


def request(
    program: Program,
    body: bytes = GOOD,
    *,
    path: bytes = CHAT,
    method: bytes = b"POST",
    version: bytes = b"HTTP/1.1",
    headers: bytes | None = None,
    length: int | None = None,
) -> bytes:
    """The bytes of a request; `headers` (whole lines) instead of the admin's key, `length` instead of the true one."""
    lines = b"authorization: Bearer %s\r\n" % program.key.encode() if headers is None else headers
    announced = len(body) if length is None else length
    head = b"%s %s %s\r\nhost: localhost:%d\r\n" % (method, path, version, program.port)
    return head + lines + b"content-length: %d\r\n\r\n" % announced + body


def chunked(program: Program, *chunks: bytes) -> list[bytes]:
    """A request whose body comes in chunks and is not ended, for `converse`."""
    head = b"POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ntransfer-encoding: chunked\r\n\r\n"
    return [head % (CHAT, program.key.encode()), *(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks)]


def converse(
    program: Program,
    data: bytes | Iterable[bytes],
    *,
    pause: float = 0.0,
    close: bool = False,
    to_the_end: bool = False,
) -> Answer:
    """Send `data`, part by part, `pause` seconds apart, for as long as nothing is answered; read one answer.

    `close`: say that no more will come. `to_the_end`: read until the leader hangs up.
    """
    since = time.monotonic()
    with socket.create_connection(("127.0.0.1", program.port), timeout=20) as connection:
        received = b""
        try:
            for part in [data] if isinstance(data, bytes) else data:
                connection.sendall(part)
                received += _already(connection, pause)
                if received:
                    break
            if close:
                connection.shutdown(socket.SHUT_WR)
            while close or to_the_end or not _complete(received):
                if not (more := connection.recv(65536)):
                    break
                received += more
        except (BrokenPipeError, ConnectionResetError):
            pass
    return _parse(received, time.monotonic() - since)


def _already(connection: socket.socket, within: float) -> bytes:
    if not within:
        return b""
    connection.settimeout(within)
    try:
        return connection.recv(65536)
    except TimeoutError:
        return b""
    finally:
        connection.settimeout(20)


def _complete(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def _parse(received: bytes, seconds: float) -> Answer:
    head, _, rest = received.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"", b"", seconds)
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    length = int(headers.get("content-length", len(rest)))
    return Answer(int(status.split()[1]), headers, rest[:length], rest[length:], seconds)
