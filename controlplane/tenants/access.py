"""What a request says about who makes it. Pure."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from flockpy.errors import Unauthenticated

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def presented_keys(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, ...]:
    """The keys in ``Authorization`` and ``x-api-key``, of which one has to be good.

    Raises Unauthenticated when one of these headers says two things: what checked the request before us may have
    read the other one.
    """
    authorization = api_key = b""
    for name, value in headers:
        if name == b"authorization":
            if authorization and authorization != value:
                raise _said_twice("Authorization")
            authorization = value
        elif name == b"x-api-key":
            if api_key and api_key != value:
                raise _said_twice("x-api-key")
            api_key = value
    bearer = authorization[7:].strip() if authorization[:7].lower() == b"bearer " else b""
    api_key = api_key.strip()
    if bearer and not api_key:
        return (bearer.decode("latin-1"),)
    return tuple(key.decode("latin-1") for key in (bearer, api_key) if key)


def is_local(address: str, host: str, origin: str | None) -> bool:
    """From this machine, addressed to it by name, and not on behalf of a foreign web page.

    A page in a browser reaches loopback too; it cannot hide its origin, nor, when its own name is made to
    resolve to loopback, send another host header than that name.
    """
    if not _is_loopback(address) or not _is_local_name(host):
        return False
    return origin is None or origin.partition("://")[2] == host


def _said_twice(header: str) -> Unauthenticated:
    return Unauthenticated(f"The header {header} stands in the request twice", hint="send it once")


def _is_local_name(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOCAL_NAMES
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
