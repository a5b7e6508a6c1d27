"""Waiting for a peer, giving up on it, and not being drowned by it."""

import asyncio
from collections.abc import Callable

import pytest

from flockpy.http import SILENT, Client, Exchange, ExchangeBroken, Head, Origin
from flockpy.http.client import HIGH_WATER
from flockpy.http.connection import Connection
from tests.unit.flockpy.http.peer import AT_ONCE_S, BODY, OK, REQUEST, Conversation, Peer, rest, turns, whole

pytestmark = pytest.mark.timeout(20)
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
TICK = 0.002
"""How exactly an event loop knows the time."""
READ_AT_MOST = 256 * 1024
"""Bytes one read of an event loop may bring beyond the mark."""


async def begun(client: Client, peer: Peer) -> tuple[Exchange, Conversation]:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    return exchange, conversation


@pytest.fixture
async def hasty(make_client: Callable[..., Client]) -> Client:
    """A client that finds 20 ms of silence long, and 600 ms too long: a busy machine may stand still for half of it."""
    return make_client(silence_s=0.02, idle_s=0.6)


async def test_silence_before_the_head_is_told_and_then_ends_the_exchange(hasty: Client, peer: Peer) -> None:
    loop = asyncio.get_running_loop()
    since = loop.time()
    exchange, conversation = await begun(hasty, peer)
    silences = 0
    with pytest.raises(ExchangeBroken, match="silent") as broken:
        while await exchange.head() is SILENT:
            silences += 1
    lasted = loop.time() - since
    assert not broken.value.answered
    assert lasted >= hasty.idle_s - TICK
    assert 1 <= silences <= (lasted + TICK) / (hasty.silence_s - TICK)
    await conversation.ended()


async def test_silence_in_the_body_is_told_and_then_ends_the_exchange(hasty: Client, peer: Peer) -> None:
    loop = asyncio.get_running_loop()
    exchange, conversation = await begun(hasty, peer)
    await conversation.say(CHUNKED + b"1\r\na\r\n")
    await exchange.head()
    assert await exchange.read() == b"a"
    since, silences = loop.time(), 0
    with pytest.raises(ExchangeBroken, match="silent") as broken:
        while await exchange.read() is SILENT:
            silences += 1
    lasted = loop.time() - since
    assert broken.value.answered
    assert 1 <= silences <= (lasted + TICK) / (hasty.silence_s - TICK)
    await conversation.ended()


async def test_a_peer_that_goes_on_speaking_is_never_given_up(hasty: Client, peer: Peer) -> None:
    loop = asyncio.get_running_loop()
    exchange, conversation = await begun(hasty, peer)
    await conversation.say(CHUNKED)
    await exchange.head()
    until, spoken = loop.time() + 1.5 * hasty.idle_s, 0
    while loop.time() < until:
        if await exchange.read() is SILENT:
            await conversation.say(b"1\r\na\r\n")
            spoken += 1
    assert spoken >= 2
    await conversation.say(b"0\r\n\r\n")
    await rest(exchange)


async def test_bytes_that_are_no_body_are_not_silence(client: Client, peer: Peer) -> None:
    """Framing that brings nothing to read wakes nobody, not even within one tick of the loop's clock."""
    exchange, conversation = await begun(client, peer)
    waiting = asyncio.create_task(exchange.head())
    await turns()
    await conversation.say(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200", CHUNKED[12:-2])
    assert not waiting.done()
    await conversation.say(CHUNKED[-2:])
    assert isinstance(await waiting, Head)
    reading = asyncio.create_task(exchange.read())
    await turns()
    await conversation.say(b"5", b";x", b"\r\n")
    assert not reading.done()
    await conversation.say(b"hello")
    assert await reading == b"hello"
    exchange.abort()


async def test_a_limit_shorter_than_the_silence_holds(make_client: Callable[..., Client], peer: Peer) -> None:
    client = make_client(silence_s=5.0, idle_s=0.03)
    exchange, conversation = await begun(client, peer)
    async with asyncio.timeout(AT_ONCE_S):
        with pytest.raises(ExchangeBroken, match="silent"):
            await exchange.head()
    await conversation.ended()


async def test_silence_is_noticed_however_long_the_connection_took(
    hasty: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = hasty.connect

    async def slowly(origin: Origin) -> Connection:
        await asyncio.sleep(4 * hasty.silence_s)
        return await connect(origin)

    monkeypatch.setattr(hasty, "connect", slowly)
    exchange, conversation = await begun(hasty, peer)
    async with asyncio.timeout(AT_ONCE_S):
        assert await exchange.head() is SILENT
        with pytest.raises(ExchangeBroken, match="silent"):
            while await exchange.head() is SILENT:
                pass
    await conversation.ended()


async def test_the_whole_body_is_waited_for_through_silence(hasty: Client, peer: Peer) -> None:
    exchange, conversation = await begun(hasty, peer)
    await conversation.say(OK[:-1])
    await exchange.head()
    reading = asyncio.create_task(exchange.body(10))
    await asyncio.wait([reading], timeout=2.5 * hasty.silence_s)
    assert not reading.done()
    await conversation.say(OK[-1:])
    assert await reading == b"ok"


# Abort.


async def test_abort_while_waiting_for_the_head_is_seen_at_once(client: Client, peer: Peer) -> None:
    exchange, conversation = await begun(client, peer)
    waiting = asyncio.create_task(exchange.head())
    await turns()
    exchange.abort()
    async with asyncio.timeout(AT_ONCE_S):
        await conversation.ended()
        with pytest.raises(ExchangeBroken, match="aborted"):
            await waiting


async def test_abort_while_waiting_for_the_body_is_seen_at_once(client: Client, peer: Peer) -> None:
    exchange, conversation = await begun(client, peer)
    await conversation.say(CHUNKED)
    await exchange.head()
    waiting = asyncio.create_task(exchange.read())
    await turns()
    exchange.abort()
    async with asyncio.timeout(AT_ONCE_S):
        await conversation.ended()
        with pytest.raises(ExchangeBroken, match="aborted"):
            await waiting


async def test_abort_of_a_paused_exchange_is_seen_at_once(client: Client, peer: Peer) -> None:
    exchange, conversation = await begun(client, peer)
    await exchange_paused(conversation)
    exchange.abort()
    async with asyncio.timeout(AT_ONCE_S):
        with pytest.raises(ConnectionError):
            while True:
                await conversation.say(b"x" * 65536)


async def test_abort_while_the_request_is_being_sent_is_seen_at_once(client: Client, peer: Peer) -> None:
    size = 50_000_000
    head = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size
    exchange = await client.start(peer.origin, head, b"x" * size)
    conversation = await peer.accept()
    exchange.abort()
    async with asyncio.timeout(AT_ONCE_S):
        await conversation.ended()


async def test_abort_after_the_end_keeps_the_connection_for_others(client: Client, peer: Peer) -> None:
    exchange, conversation = await begun(client, peer)
    await conversation.say(OK)
    exchange.abort()
    assert (await whole(exchange))[1] == b"ok", "what has come is not lost"
    exchange.abort()
    await client.start(peer.origin, REQUEST, BODY)
    assert await conversation.request() == REQUEST + BODY
    assert await peer.is_alone()


async def test_aborting_twice_is_aborting(client: Client, peer: Peer) -> None:
    exchange, conversation = await begun(client, peer)
    exchange.abort()
    exchange.abort()
    with pytest.raises(ExchangeBroken, match="aborted"):
        await exchange.head()
    with pytest.raises(ExchangeBroken, match="aborted"):
        await exchange.read()
    await conversation.ended()


async def test_a_cancelled_wait_leaves_the_exchange_usable(client: Client, peer: Peer) -> None:
    exchange, conversation = await begun(client, peer)
    for _ in range(2):
        waiting = asyncio.create_task(exchange.head())
        await turns()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await conversation.say(OK)
    assert (await whole(exchange))[1] == b"ok"


# Back-pressure.


async def exchange_paused(conversation: Conversation) -> int:
    """Send a body nobody reads until no more can be sent; how many bytes went."""
    await conversation.say(CHUNKED[:17] + b"\r\n")  # a head without a length: all that follows is body
    sent, piece, stuck = 0, b"x" * 65536, 0
    while stuck < 100:
        try:
            sent += conversation.sock.send(piece)
            stuck = 0
        except BlockingIOError:
            stuck += 1
            await turns(1)
    return sent


async def test_a_reader_that_does_not_read_stops_its_peer_and_costs_no_memory(
    client: Client, peer: Peer
) -> None:
    exchange, conversation = await begun(client, peer)
    sent = await exchange_paused(conversation)
    assert sent < 64 * 2**20, "the sockets' buffers bound what is under way"
    await exchange.head()
    data = await exchange.read()
    assert isinstance(data, bytes)
    assert HIGH_WATER < len(data) <= HIGH_WATER + READ_AT_MOST
    received = len(data)
    conversation.close()
    while data := await exchange.read():
        assert isinstance(data, bytes)
        assert len(data) <= HIGH_WATER + READ_AT_MOST
        received += len(data)
    assert received == sent


async def test_a_paused_peer_is_not_silent(hasty: Client, peer: Peer) -> None:
    exchange, conversation = await begun(hasty, peer)
    sent = await exchange_paused(conversation)
    await exchange.head()
    await asyncio.sleep(1.1 * hasty.idle_s)
    received = 0
    while received < sent:
        data = await exchange.read()
        assert isinstance(data, bytes), "it has been heard since it may speak again"
        received += len(data)
    exchange.abort()


async def test_a_connection_paused_at_the_end_of_an_answer_can_be_used_again(
    client: Client, peer: Peer
) -> None:
    size = 4 * HIGH_WATER
    exchange, conversation = await begun(client, peer)
    body = b"y" * size
    sending = asyncio.create_task(
        conversation.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + body)
    )
    await exchange.head()
    received = b""
    while len(received) < size:
        data = await exchange.read()
        assert isinstance(data, bytes)
        received += data
        await turns(20)  # time to be paused in
    assert received == body
    assert await exchange.read() == b""
    await sending
    again = await client.start(peer.origin, REQUEST, BODY)
    assert await conversation.request() == REQUEST + BODY
    await conversation.say(OK)
    assert (await whole(again))[1] == b"ok"
    assert await peer.is_alone()


async def test_an_answer_that_ends_while_paused_leaves_a_connection_that_listens(
    client: Client, peer: Peer
) -> None:
    """All of the answer came in the read that paused the socket: nobody else would wake it."""
    size = HIGH_WATER + 1
    exchange, conversation = await begun(client, peer)
    connection = exchange._connection
    assert connection is not None
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"z" * size)
    again = await client.start(peer.origin, REQUEST, BODY)
    assert await conversation.request() == REQUEST + BODY
    await conversation.say(OK)
    assert (await whole(again))[1] == b"ok"
    assert len((await whole(exchange))[1]) == size


async def test_a_peer_that_dies_while_paused_is_noticed_after_what_it_sent(
    client: Client, peer: Peer
) -> None:
    exchange, conversation = await begun(client, peer)
    await conversation.say(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (3 * HIGH_WATER))
    await conversation.say(b"x" * (2 * HIGH_WATER))
    conversation.close()
    await turns()
    received = 0
    await exchange.head()
    with pytest.raises(ExchangeBroken, match="mid-answer"):
        while data := await exchange.read():
            assert isinstance(data, bytes)
            received += len(data)
    assert received == 2 * HIGH_WATER


async def test_a_peer_that_crashes_while_paused_is_noticed(client: Client, peer: Peer) -> None:
    exchange, conversation = await begun(client, peer)
    await exchange_paused(conversation)
    conversation.reset()
    await turns()
    await exchange.head()
    with pytest.raises(ExchangeBroken):
        await rest(exchange)
