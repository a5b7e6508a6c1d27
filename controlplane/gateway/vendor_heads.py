"""Heads of requests to vendors and of their answers: what goes out, and what of it reaches the client."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import msgspec

from controlplane.egress.base import Headers, Posting
from controlplane.egress.verdict import LONGEST_WAIT
from controlplane.protocols.base import UNREADABLE
from controlplane.tenants.model import Surface

_WHO: Final = frozenset({b"authorization", b"x-api-key", b"cookie", b"proxy-authorization", b"host"})
"""Headers by which a client says who it is, to us alone."""
_PASSED: Final = (
    b"anthropic-",
    b"x-ratelimit-",
    b"openai-",
    b"request-id",
    b"retry-after",
    b"x-should-retry",
)
_OURS: Final = re.compile(rb"(?:anthropic|openai)-\S*(?:organi[sz]ation|project|workspace|account)")
"""What names the leader's own account: a vendor says it, and a client would choose with it who pays."""
MAX_PASSED: Final = 8192
"""Bytes of a vendor's header lines that reach a client, of which many take no more in all."""


class _Said(msgspec.Struct):
    message: str


class _Error(msgspec.Struct):
    error: _Said
    type: str = ""


_ERROR: Final = msgspec.json.Decoder(_Error)


def head_of(posting: Posting) -> bytes:
    """The head of the request. A vendor's name is in no other header than those of `posting`."""
    parts = urlsplit(posting.url)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    host = parts.netloc.rpartition("@")[2]
    lines = [f"POST {target} HTTP/1.1\r\nhost: {host}\r\n".encode("ascii")]
    lines += [b"%b: %b\r\n" % header for header in posting.headers]
    # Whoever says nothing takes any encoding, and what is passed on or read here is none.
    return b"".join(lines) + b"accept-encoding: identity\r\ncontent-length: %d\r\n\r\n" % len(posting.body)


def asked_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """The client's headers, but those that say who it is or who is to pay."""
    return tuple(header for header in headers if header[0] not in _WHO and not _OURS.match(header[0]))


def passed_headers(headers: Headers) -> bytes:
    """Lines of a vendor's answer that are for the client."""
    passed = (header for header in headers if header[0].startswith(_PASSED) and not _OURS.match(header[0]))
    lines, size = list[bytes](), 0
    for header in passed:
        line = b"%b: %b\r\n" % header
        size += len(line)
        if size > MAX_PASSED:
            break
        lines.append(line)
    return b"".join(lines)


def wait_of(value: bytes) -> int | None:
    """The seconds of a ``retry-after``; None for a date, or without one."""
    text = value.decode("latin-1").strip()
    return min(int(text), LONGEST_WAIT) if text.isdecimal() and len(text) < 10 else None


def is_error_of(surface: Surface, body: bytes) -> bool:
    """Whether the body of an error answer is one in a client's protocol, and no page or other words of whatever stands
    before a vendor."""
    try:
        error = _ERROR.decode(body)
    except UNREADABLE:
        return False
    return surface != "messages" or error.type == "error"
