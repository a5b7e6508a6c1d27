"""What an exchange speaks of: where to connect, an answer's head, and what can go wrong."""

import ssl
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

import msgspec


class HttpError(Exception):
    """Base of what can go wrong with an exchange; the message is fit for a log, not for a client."""


class ConnectError(HttpError):
    """No connection: refused, unreachable or not in time. Nothing was sent."""


class ExchangeBroken(HttpError):
    """The peer broke off, spoke no HTTP or fell silent. `answered`: at least one byte had come."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class Silent:
    """The type of `SILENT`; false-like values are reserved for the end of a body."""

    def __repr__(self) -> str:
        return "SILENT"


SILENT: Final = Silent()


class Origin(msgspec.Struct, frozen=True):
    """Where to connect. Equal origins share connections."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None


@lru_cache(maxsize=4096)
def origin_of(url: str) -> Origin:
    """Where the server of an ``http`` or ``https`` URL listens; the latter has to prove that it is that server."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return Origin(parts.hostname or "", parts.port or 443, _trusted())
    return Origin(parts.hostname or "", parts.port or 80)


@lru_cache(maxsize=1)
def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context()


class Head(msgspec.Struct, frozen=True, gc=False):
    """Status and headers of an answer; names as the peer wrote them, in lower case."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]

    def get(self, name: bytes) -> bytes:
        """The first value of a header, b"" without one. `name` in lower case."""
        for key, value in self.headers:
            if key == name:
                return value
        return b""
