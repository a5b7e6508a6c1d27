"""Through a proxy: TLS is with the server behind it, which alone sees the request."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flockpy.http import Client, ConnectError, Origin, Proxies
from tests.certificates import self_signed
from tests.connect_proxy import ConnectProxy, connect_proxy
from tests.unit.flockpy.http.peer import BODY, OK, REQUEST, turns, whole

pytestmark = pytest.mark.timeout(20)
NAME = "vendor.test"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "vendor.pem", NAME)


@pytest.fixture
async def origin(certificate: Path) -> AsyncIterator[Origin]:
    """A vendor that no name server knows."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(OK)
        writer.close()

    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(certificate)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=own)
    yield Origin(
        NAME, server.sockets[0].getsockname()[1], ssl.create_default_context(cafile=str(certificate))
    )
    server.close()
    await turns(10)


def behind(proxy: ConnectProxy, user: str = "", **environ: str) -> Client:
    address = f"http://{user}127.0.0.1:{proxy.port}"
    return Client(connect_s=5.0, proxies=Proxies({"HTTPS_PROXY": address, **environ}))


async def test_an_exchange_and_the_next_on_the_same_connection(origin: Origin):
    with connect_proxy() as proxy:
        client = behind(proxy)
        for _ in range(3):
            assert (await whole(await client.start(origin, REQUEST, BODY)))[1] == b"ok"
        await client.close()
        await turns(10)
    address = f"{NAME}:{origin.port}".encode()
    assert proxy.asked == [b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (address, address)]


async def test_a_password_is_given_to_the_proxy_alone(origin: Origin):
    with connect_proxy(user="me:p@ss") as proxy:
        client = behind(proxy, "me:p%40ss@")
        assert (await whole(await client.start(origin, REQUEST, BODY)))[1] == b"ok"
        await client.close()
        await turns(10)
        other = behind(proxy, "me:wrong-word@")
        with pytest.raises(ConnectError, match="wants other credentials") as caught:
            await other.start(origin, REQUEST, BODY)
    assert "wrong-word" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "refuses, with status 403"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\r\n", "status 302"),
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 20_000, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nmore", "says more"),
    ],
)
async def test_a_proxy_that_does_not_let_through_is_a_connect_error(origin: Origin, answer: bytes, said: str):
    with connect_proxy(answer=answer) as proxy, pytest.raises(ConnectError, match=said):
        await behind(proxy).start(origin, REQUEST, BODY)


async def test_so_is_one_that_is_not_there(origin: Origin):
    with connect_proxy() as proxy:
        gone = behind(proxy)
    with pytest.raises(ConnectError, match=rf"the proxy at 127\.0\.0\.1:{proxy.port}"):
        await gone.start(origin, REQUEST, BODY)
    nowhere = Client(proxies=Proxies({"ALL_PROXY": "http://no-such-host.invalid:1"}))
    with pytest.raises(ConnectError, match=r"the proxy at no-such-host\.invalid:1"):
        await nowhere.start(origin, REQUEST, BODY)


async def test_a_proxy_cannot_pass_for_the_server_behind_it(origin: Origin):
    with connect_proxy() as proxy:
        for other in (
            Origin(NAME, origin.port, ssl.create_default_context()),
            Origin("x.test", *_of(origin)),
        ):
            with pytest.raises(ConnectError, match="certificate"):
                await behind(proxy).start(other, REQUEST, BODY)
        await turns(10)


def _of(origin: Origin) -> tuple[int, ssl.SSLContext | None]:
    return origin.port, origin.tls


async def test_who_is_excepted_or_without_tls_is_asked_directly(origin: Origin):
    with connect_proxy() as proxy:
        for client, there in (
            (behind(proxy, NO_PROXY="test"), origin),
            (behind(proxy), Origin("no-such-host.invalid", 1)),
        ):
            with pytest.raises(ConnectError):  # it has no address
                await client.start(there, REQUEST, BODY)
    assert not proxy.asked
