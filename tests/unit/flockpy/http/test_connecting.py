"""Finding nobody, finding somebody slow, and TLS."""

import asyncio
import contextlib
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from flockpy.http import Client, ConnectError, ExchangeBroken, Origin, origin_of
from tests.certificates import self_signed
from tests.unit.flockpy.http.peer import AT_ONCE_S, BODY, OK, REQUEST, Peer, turns, whole

pytestmark = pytest.mark.timeout(20)


async def test_a_refused_connection_is_a_connect_error_that_says_where(client: Client, peer: Peer) -> None:
    peer.close()
    with pytest.raises(ConnectError, match=rf"127\.0\.0\.1:{peer.origin.port}: .*[Rr]efused"):
        await client.start(peer.origin, REQUEST, BODY)


async def test_a_name_nobody_has_is_a_connect_error(client: Client) -> None:
    for host in ("no-such-host.invalid", "x" * 300, "a..b", ""):
        with pytest.raises(ConnectError):
            await client.start(Origin(host, 1), REQUEST, BODY)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full backlog refuses")
async def test_a_peer_that_does_not_accept_in_time_is_a_connect_error(
    make_client: Callable[..., Client],
) -> None:
    client = make_client(connect_s=0.05)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        origin = Origin("127.0.0.1", listener.getsockname()[1])
        for _ in range(4):  # fill the backlog
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex((origin.host, origin.port))
        with pytest.raises(ConnectError, match=r"within 0\.05 s"):
            await client.start(origin, REQUEST, BODY)


async def test_a_peer_that_does_not_shake_hands_in_time_is_a_connect_error(
    make_client: Callable[..., Client], peer: Peer
) -> None:
    client = make_client(connect_s=0.05)
    origin = Origin(peer.origin.host, peer.origin.port, ssl.create_default_context())
    with pytest.raises(ConnectError, match=r"within 0\.05 s"):
        await client.start(origin, REQUEST, BODY)
    await (await peer.accept()).ended()


async def test_a_cancelled_connect_leaves_nothing_behind(client: Client, peer: Peer) -> None:
    origin = Origin(peer.origin.host, peer.origin.port, ssl.create_default_context())
    starting = asyncio.create_task(client.start(origin, REQUEST, BODY))
    conversation = await peer.accept()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await conversation.ended()


@pytest.mark.parametrize("greeting", [OK, b""], ids=["speaks", "hangs up"])
async def test_a_peer_that_acts_before_it_was_asked_is_not_believed(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch, greeting: bytes
) -> None:
    connect = client.connect

    async def connect_to_the_hasty(origin: Origin):
        connection = await connect(origin)
        conversation = await peer.accept()
        await conversation.say(greeting)
        if not greeting:
            conversation.close()
        await turns()
        return connection

    monkeypatch.setattr(client, "connect", connect_to_the_hasty)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    with pytest.raises(ExchangeBroken, match="at once") as broken:
        await exchange.head()
    assert not broken.value.answered


async def test_nothing_waits_for_nagle(client: Client, peer: Peer) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    assert exchange._connection is not None
    sock = exchange._connection.transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    exchange.abort()
    await turns()


# TLS.


class TlsPeer:
    """Answers every request on a connection alike; counts connections."""

    def __init__(self, server: asyncio.Server, trust: ssl.SSLContext) -> None:
        self.port: int = server.sockets[0].getsockname()[1]
        self.origin = Origin("127.0.0.1", self.port, trust)
        self.connections = 0
        self.ended = asyncio.Event()
        self.body = b"ok"
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(len(BODY))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(self.body))
                for at in range(0, len(self.body), 65536):
                    writer.write(self.body[at : at + 65536])
                    await writer.drain()
        self.ended.set()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 and its key, in one file."""
    return self_signed(tmp_path_factory.mktemp("tls") / "peer.pem")


@pytest.fixture
async def tls_peer(certificate: Path) -> AsyncIterator[TlsPeer]:
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=str(certificate))
    peers: list[TlsPeer] = []
    server = await asyncio.start_server(lambda r, w: peers[0].serve(r, w), "127.0.0.1", 0, ssl=own)
    peers.append(TlsPeer(server, trust))
    yield peers[0]
    server.close()
    for writer in peers[0].writers:
        writer.transport.abort()
    await turns(10)


async def test_an_exchange_over_tls_and_the_next_on_the_same_connection(
    client: Client, tls_peer: TlsPeer
) -> None:
    for _ in range(3):
        exchange = await client.start(tls_peer.origin, REQUEST, BODY)
        assert (await whole(exchange))[1] == b"ok"
    assert tls_peer.connections == 1
    await client.close()
    async with asyncio.timeout(AT_ONCE_S):
        await tls_peer.ended.wait()


async def test_a_long_answer_over_tls_arrives_whole_at_a_slow_reader(
    client: Client, tls_peer: TlsPeer
) -> None:
    tls_peer.body = bytes(range(256)) * 8192
    exchange = await client.start(tls_peer.origin, REQUEST, BODY)
    await exchange.head()
    received: list[bytes] = []
    while data := await exchange.read():
        assert isinstance(data, bytes)
        received.append(data)
        await turns(10)
    assert b"".join(received) == tls_peer.body
    again = await client.start(tls_peer.origin, REQUEST, BODY)
    assert len((await whole(again))[1]) == len(tls_peer.body)
    assert tls_peer.connections == 1


async def test_abort_over_tls_is_seen_at_once(client: Client, tls_peer: TlsPeer) -> None:
    tls_peer.body = b"x" * 2**26
    exchange = await client.start(tls_peer.origin, REQUEST, BODY)
    await exchange.head()
    await exchange.read()
    exchange.abort()
    async with asyncio.timeout(AT_ONCE_S):
        await tls_peer.ended.wait()
    with pytest.raises(ExchangeBroken, match="aborted"):
        await whole(exchange)


async def test_a_certificate_that_is_not_trusted_is_a_connect_error(
    client: Client, tls_peer: TlsPeer
) -> None:
    origin = Origin("127.0.0.1", tls_peer.port, ssl.create_default_context())
    with pytest.raises(ConnectError, match="certificate"):
        await client.start(origin, REQUEST, BODY)


async def test_a_peer_without_tls_is_a_connect_error(client: Client, peer: Peer) -> None:
    origin = Origin(peer.origin.host, peer.origin.port, ssl.create_default_context())
    starting = asyncio.create_task(client.start(origin, REQUEST, BODY))
    conversation = await peer.accept()
    await conversation.say(OK)
    with pytest.raises(ConnectError):
        await starting


async def test_origins_differ_by_their_trust(client: Client, tls_peer: TlsPeer, certificate: Path) -> None:
    """A connection made under one trust never serves a request that asks for another."""
    await whole(await client.start(tls_peer.origin, REQUEST, BODY))
    other = Origin("127.0.0.1", tls_peer.port, ssl.create_default_context(cafile=str(certificate)))
    await whole(await client.start(other, REQUEST, BODY))
    assert tls_peer.connections == 2


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://127.0.0.1:8089/base", "127.0.0.1", 8089),
        ("http://engine", "engine", 80),
        ("https://engine", "engine", 443),
        ("https://[::1]:8443", "::1", 8443),
    ],
)
def test_a_url_says_where_to_connect_and_whether_the_server_must_prove_itself(url: str, host: str, port: int):
    origin = origin_of(url)
    assert (origin.host, origin.port) == (host, port)
    assert (origin.tls is not None and origin.tls.check_hostname) == url.startswith("https")
    assert origin_of(url) is origin
