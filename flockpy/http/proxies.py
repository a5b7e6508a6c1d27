"""Which proxy stands before an address, as the environment says it. Pure."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

_NAMES: Final = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
"""The first that is set holds; as everywhere, the small one goes before the large one."""
_PORT: Final = re.compile(r"(?P<host>.*[^:]|\[.*\]):(?P<port>\d{1,5})")


class ProxyError(ValueError):
    """The address of a proxy is of no use. The message holds no password."""


class Proxy(msgspec.Struct, frozen=True):
    """Where a proxy listens, and the header line with which it is to be asked ("" for none): a secret."""

    host: str
    port: int
    authorization: bytes = b""

    def __repr__(self) -> str:
        return f"Proxy({self.host}:{self.port})"


class Proxies:
    """What ``HTTPS_PROXY`` (or ``ALL_PROXY``) and ``NO_PROXY`` of an environment say."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        given = ((name, environ.get(name, "").strip()) for name in _NAMES)
        self._name, self._address = next((item for item in given if item[1]), ("", ""))
        excepted = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
        self._excepted = tuple(excepted.replace(",", " ").split())

    def before(self, host: str, port: int) -> Proxy | None:
        """The proxy for a host; None where it is asked directly, as this machine always is. Raises ProxyError."""
        if not self._address or _is_here(host) or any(_excepts(one, host, port) for one in self._excepted):
            return None
        return _read(self._address, self._name)


def proxy_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The passwords in the addresses of proxies, as they stand there and as they are meant."""
    found: list[str] = []
    for name, value in environ.items():
        if name.lower().endswith("_proxy"):
            password = value.rpartition("@")[0].rpartition("//")[2].partition(":")[2]
            found += [password, unquote_to_bytes(password).decode(errors="replace")] if password else []
    return tuple(dict.fromkeys(found))


def _read(address: str, name: str) -> Proxy:
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        raise ProxyError(f"{name} is no address such as http://proxy.example:3128") from None
    if parts.scheme != "http" or not host:
        raise ProxyError(
            f"{name} must be an address that begins with http://, such as http://proxy.example:3128"
        )
    if parts.username is None:
        return Proxy(host, port)
    who = unquote_to_bytes(parts.username) + b":" + unquote_to_bytes(parts.password or "")
    return Proxy(host, port, b"proxy-authorization: Basic %b\r\n" % base64.b64encode(who))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _excepts(entry: str, host: str, port: int) -> bool:
    """Whether an entry of ``NO_PROXY`` (a name with all below it, an address, a network, ``*``) speaks of a host."""
    if entry == "*":
        return True
    if found := _PORT.fullmatch(entry):
        if int(found["port"]) != port:
            return False
        entry = found["host"]
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name, asked = entry.lower().removeprefix("*").lstrip("."), host.lower().rstrip(".")
        return bool(name) and (asked == name or asked.endswith(f".{name}"))
