"""A way through a proxy: it is asked by CONNECT, and from then on passes bytes on."""

import asyncio
import re
import socket
from typing import Final

from flockpy.http.messages import ConnectError
from flockpy.http.proxies import Proxy

MAX_HEAD: Final = 16 * 1024
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")


async def tunnel(proxy: Proxy, host: str, port: int) -> socket.socket:
    """A socket at whose other end is the port of a host. Raises ConnectError, OSError where the proxy breaks off, and
    UnicodeError for a host that can have no name."""
    loop = asyncio.get_running_loop()
    connection = await _to(proxy)
    try:
        await loop.sock_sendall(connection, _asked(proxy, host, port))
        said = b""
        while b"\r\n\r\n" not in said:
            data = await loop.sock_recv(connection, 4096)
            said += data
            if not data or len(said) > MAX_HEAD:
                raise ConnectError(f"the proxy at {proxy.host}:{proxy.port} does not speak HTTP as it should")
        _check(proxy, said)
    except BaseException:  # when it is cancelled, too
        connection.close()
        raise
    return connection


async def _to(proxy: Proxy) -> socket.socket:
    loop = asyncio.get_running_loop()
    failed: OSError | None = None
    try:
        found = await loop.getaddrinfo(proxy.host, proxy.port, type=socket.SOCK_STREAM)
    except OSError as error:
        found, failed = [], error
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failed = error
        except BaseException:  # when it is cancelled, too
            connection.close()
            raise
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    reason = (failed.strerror or failed) if failed else "it has no address"
    raise ConnectError(f"no connection to the proxy at {proxy.host}:{proxy.port}: {reason}")


def _asked(proxy: Proxy, host: str, port: int) -> bytes:
    name = f"[{host}]".encode() if ":" in host else host.encode("idna")
    return b"CONNECT %b:%d HTTP/1.1\r\nhost: %b:%d\r\n%b\r\n" % (name, port, name, port, proxy.authorization)


def _check(proxy: Proxy, said: bytes) -> None:
    where, status = f"the proxy at {proxy.host}:{proxy.port}", _STATUS.match(said)
    if status is None:
        raise ConnectError(f"{where} does not speak HTTP as it should")
    if status[1] == b"407":
        raise ConnectError(f"{where} wants other credentials: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")
    if status[1] != b"200":
        raise ConnectError(f"{where} refuses, with status {status[1].decode()}")
    if not said.endswith(b"\r\n\r\n"):  # whoever is behind it speaks first of all, which TLS does not
        raise ConnectError(f"{where} says more than it was asked")
