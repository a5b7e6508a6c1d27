"""What the connections of a listener share: who answers, and what a client may cost before its request is whole."""

import asyncio
from typing import Final, Protocol, cast

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from controlplane.gateway.asked import Asked, Headers
from flockpy.config import Limits
from flockpy.errors import BadRequest, BodyTooLarge, FlockError, HeadTooLarge
from flockpy.http import Outbox

MAX_HEAD: Final = 64 * 1024
"""Bytes of a head; also of all that comes in a row and is neither head nor body, such as trailers."""
MAX_HEADERS: Final = 200
AHEAD: Final = 64
"""Requests a client may send before the first of them is answered."""
AT_ONCE: Final = 64 * 1024
"""Bytes of an answer that do not wait for the end of the turn: only the socket can tell that its client is slow."""
HEAD_S: Final = 10.0
IDLE_S: Final = 75.0
LINGER_S: Final = 2.0
"""How long what a refused client still sends is thrown away: a socket closed over unread bytes loses the answer."""
STALLED_S: Final = 600.0
"""How long a client may leave an answer that is ready untaken."""


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


class Enough(Exception):
    """Ends the parser's work on a connection of which nothing more is read."""


class Door:
    """What the connections of a listener share. `outbox` writes for them; `date` is the header line of this second,
    `empty` set while there are none."""

    def __init__(self, config: Config, plane: Plane, limits: Limits, outbox: Outbox) -> None:
        self.config = config
        self.app = cast("ASGI3Application", config.loaded_app)  # pyright: ignore[reportUnknownMemberType]
        self.plane = plane
        self.limits = limits
        self.outbox = outbox
        self.state = ServerState()
        self.empty = asyncio.Event()
        self.date = b""


def too_large(limits: Limits) -> BodyTooLarge:
    """The error for a body over the limit."""
    return BodyTooLarge(
        f"the body exceeds {limits.body_bytes} bytes",
        field="body",
        hint="an admin can raise limits.body_bytes",
    )


def framed_wrongly() -> BadRequest:
    """The error for a body that is not as it was announced."""
    return BadRequest("the body ended before it was complete, or is framed wrongly", field="body")


def left_early() -> BadRequest:
    """The error for a client that has said that it sends no more, before it has its answer."""
    return BadRequest(
        "the connection was closed for sending before its answer was there, which counts as having left",
        hint="keep it open until the answer has been read",
    )


def unaddressed() -> BadRequest:
    """The error for a request that names no host, or several."""
    return BadRequest("a request names its host once", field="host", hint="send one Host header")


def too_much() -> HeadTooLarge:
    """The error for a head over the limits."""
    return HeadTooLarge(f"the headers exceed {MAX_HEAD} bytes or {MAX_HEADERS} lines")


def without_origin(url: bytes) -> bytes:
    """The path and query of a URL as clients of a proxy send it. Raises HttpParserInvalidURLError."""
    parsed = httptools.parse_url(url)
    return (parsed.path or b"/") + (b"?" + parsed.query if parsed.query else b"")


def names_a_host(headers: Headers, old: bool) -> bool:
    """Whether one host is named, so that all who read it mean the same. An `old` client need not name any."""
    named_so = sum(name == b"host" for name, _ in headers)
    return named_so == 1 or (old and not named_so)


def size_of(url: bytes, headers: Headers) -> int:
    """Bytes of a head, without what separates them."""
    return len(url) + sum(len(name) + len(value) for name, value in headers)


def tell_left(cycle: Asked | RequestResponseCycle) -> None:
    """To whoever answers: the client has gone. Nothing that it still says goes out."""
    if isinstance(cycle, Asked):
        cycle.left()
        return
    cycle.disconnected = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.message_event.set()
