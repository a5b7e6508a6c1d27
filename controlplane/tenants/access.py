"""What a request says about who makes it. Pure."""

import ipaddress
from urllib.parse import urlsplit

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})


def presented_key(authorization: str, api_key: str) -> str:
    """The key in the values of ``Authorization`` and ``x-api-key``, or ""."""
    scheme, _, bearer = authorization.partition(" ")
    if scheme.lower() == "bearer" and bearer.strip():
        return bearer.strip()
    return api_key.strip()


def is_local(address: str, host: str, origin: str | None) -> bool:
    """From this machine, addressed to it by name, and not on behalf of a foreign web page.

    A page in a browser reaches loopback too; it cannot hide its origin, nor, when its own name is made to
    resolve to loopback, send another host header than that name.
    """
    if not _is_loopback(address) or not _is_local_name(host):
        return False
    return origin is None or origin.partition("://")[2] == host


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
