"""Connections that are used again: which, how long, and what happens when a peer has closed one meanwhile."""

import asyncio
from collections.abc import Callable

import pytest

from flockpy.http import Client, ConnectError, Exchange, ExchangeBroken
from tests.unit.flockpy.http.peer import BODY, OK, REQUEST, Conversation, Peer, rest, turns, whole

pytestmark = pytest.mark.timeout(20)


async def one(client: Client, peer: Peer) -> Conversation:
    """A finished exchange on a new connection, which is idle now."""
    (conversation,) = await several(client, peer, 1)
    return conversation


async def several(client: Client, peer: Peer, count: int) -> list[Conversation]:
    """Idle connections, in the order in which they became so."""
    exchanges: list[Exchange] = []
    conversations: list[Conversation] = []
    for _ in range(count):
        exchanges.append(await client.start(peer.origin, REQUEST, BODY))
        conversations.append(await peer.accept())
        assert await conversations[-1].request() == REQUEST + BODY
    for exchange, conversation in zip(exchanges, conversations, strict=True):
        await conversation.say(OK)
        assert (await whole(exchange))[1] == b"ok"
    return conversations


async def test_a_connection_is_used_again(client: Client, peer: Peer) -> None:
    conversation = await one(client, peer)
    for _ in range(3):
        exchange = await client.start(peer.origin, REQUEST, BODY)
        assert await conversation.request() == REQUEST + BODY
        await conversation.say(OK)
        assert (await whole(exchange))[1] == b"ok"
    assert await peer.is_alone()


async def test_a_connection_is_idle_once_its_answer_is_whole_read_or_not(client: Client, peer: Peer) -> None:
    first = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(OK)
    second = await client.start(peer.origin, REQUEST, BODY)
    assert await conversation.request() == REQUEST + BODY
    await conversation.say(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond")
    assert (await whole(first))[1] == b"ok"
    assert (await whole(second))[1] == b"second"


async def test_the_connection_used_last_is_used_first(client: Client, peer: Peer) -> None:
    conversations = await several(client, peer, 3)
    for expected in reversed(conversations):
        await client.start(peer.origin, REQUEST, BODY)
        assert await expected.request() == REQUEST + BODY
    assert await peer.is_alone()


async def test_connections_of_one_origin_never_serve_another(client: Client, peer: Peer) -> None:
    conversation = await one(client, peer)
    other = Peer()
    try:
        await client.start(other.origin, REQUEST, BODY)
        assert await (await other.accept()).request() == REQUEST + BODY
        await client.close()
        await conversation.ended()
    finally:
        other.close()


async def test_more_idle_connections_than_the_limit_are_closed(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flockpy.http.client.MAX_POOLED", 2)
    first, second, third = await several(client, peer, 3)
    await third.ended()
    for expected in (second, first):
        await client.start(peer.origin, REQUEST, BODY)
        assert await expected.request() == REQUEST + BODY


async def test_idle_connections_are_closed_in_time(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flockpy.http.client.POOLED_S", 0.05)
    loop = asyncio.get_running_loop()
    conversations = await several(client, peer, 3)
    since = loop.time()
    for conversation in conversations:
        await conversation.ended()
    assert loop.time() - since >= 0.04
    await one(client, peer)  # the sweeper goes on after a pause


async def test_a_connection_that_has_been_idle_too_long_is_not_used_even_before_it_is_swept(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await one(client, peer)
    monkeypatch.setattr("flockpy.http.client.POOLED_S", 0.0)
    await client.start(peer.origin, REQUEST, BODY)
    await conversation.ended()
    assert await (await peer.accept()).request() == REQUEST + BODY


@pytest.mark.parametrize("noise", [OK, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"x"], ids=["ok", "408", "x"])
async def test_an_idle_connection_that_speaks_is_dropped(client: Client, peer: Peer, noise: bytes) -> None:
    conversation = await one(client, peer)
    await conversation.say(noise)
    await conversation.ended()
    exchange = await client.start(peer.origin, REQUEST, BODY)
    fresh = await peer.accept()
    assert await fresh.request() == REQUEST + BODY
    await fresh.say(OK)
    assert (await whole(exchange))[1] == b"ok"


async def test_an_idle_connection_that_its_peer_closes_is_forgotten(client: Client, peer: Peer) -> None:
    conversation = await one(client, peer)
    conversation.close()
    await turns()
    await client.start(peer.origin, REQUEST, BODY)
    assert await (await peer.accept()).request() == REQUEST + BODY


async def test_a_request_that_is_not_all_sent_spoils_its_connection(client: Client, peer: Peer) -> None:
    """The peer answered early; the next request must not queue behind the rest of this one."""
    size = 50_000_000
    head = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size
    exchange = await client.start(peer.origin, head, b"x" * size)
    conversation = await peer.accept()
    await conversation.say(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
    answer, body = await whole(exchange)
    assert (answer.status, body) == (413, b"no")
    await conversation.ended()
    await client.start(peer.origin, REQUEST, BODY)
    await peer.accept()


async def test_an_answer_before_its_request_is_written_is_none(client: Client, peer: Peer) -> None:
    """Servers say 408 to a connection that was idle for too long."""
    conversation = await one(client, peer)
    idle = client.take(peer.origin)
    assert idle is not None
    client.give_back(idle)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    idle.data_received(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
    waiting = asyncio.create_task(whole(exchange))
    assert await conversation.request() == b""
    fresh = await peer.accept()
    assert await fresh.request() == REQUEST + BODY
    await fresh.say(OK)
    assert (await waiting)[1] == b"ok"


async def test_an_exchange_aborted_in_the_turn_in_which_it_began_sends_nothing(
    client: Client, peer: Peer
) -> None:
    conversation = await one(client, peer)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    exchange.abort()
    assert await conversation.request() == b""


async def test_closing_the_client_closes_idle_connections_now_and_others_at_their_end(
    client: Client, peer: Peer
) -> None:
    busy_exchange = await client.start(peer.origin, REQUEST, BODY)
    busy = await peer.accept()
    idle = await one(client, peer)
    await client.close()
    await idle.ended()
    await busy.request()
    await busy.say(OK)
    assert (await whole(busy_exchange))[1] == b"ok"
    await busy.ended()


# A peer may close an idle connection at the very moment in which it is used again.


def closed(conversation: Conversation) -> None:
    conversation.close()


def reset(conversation: Conversation) -> None:
    conversation.reset()


HANG_UP = pytest.mark.parametrize("hang_up", [closed, reset])


@HANG_UP
async def test_a_request_on_a_stale_connection_is_sent_again_on_a_fresh_one(
    client: Client, peer: Peer, hang_up
) -> None:
    stale = await one(client, peer)
    hang_up(stale)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    waiting = asyncio.create_task(exchange.head())
    fresh = await peer.accept()
    assert await fresh.request() == REQUEST + BODY, "the body too"
    await fresh.say(OK)
    await waiting
    assert await rest(exchange) == b"ok"
    assert await peer.is_alone()
    again = await client.start(peer.origin, REQUEST, BODY)
    assert await fresh.request() == REQUEST + BODY
    again.abort()


@HANG_UP
async def test_a_connection_that_dies_after_the_request_came_is_stale_too(
    client: Client, peer: Peer, hang_up
) -> None:
    stale = await one(client, peer)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    assert await stale.request() == REQUEST + BODY
    waiting = asyncio.create_task(exchange.head())
    hang_up(stale)
    fresh = await peer.accept()
    assert await fresh.request() == REQUEST + BODY
    await fresh.say(OK)
    await waiting
    assert await rest(exchange) == b"ok"


@HANG_UP
async def test_a_second_try_is_the_last(client: Client, peer: Peer, hang_up) -> None:
    await several(client, peer, 2)  # a second idle connection is not what the second try takes
    stale = peer.conversations[1]
    hang_up(stale)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    waiting = asyncio.create_task(exchange.head())
    fresh = await peer.accept()
    await fresh.request()
    hang_up(fresh)
    with pytest.raises(ExchangeBroken) as broken:
        await waiting
    assert not broken.value.answered
    assert await peer.is_alone()


@HANG_UP
@pytest.mark.parametrize("heard", [b"H", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", OK[:-1]])
async def test_after_the_first_byte_nothing_is_sent_again(
    client: Client, peer: Peer, hang_up, heard: bytes
) -> None:
    conversation = await one(client, peer)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    await conversation.request()
    await conversation.say(heard)
    hang_up(conversation)
    with pytest.raises(ExchangeBroken) as broken:
        await whole(exchange)
    assert broken.value.answered
    assert await peer.is_alone()


@HANG_UP
async def test_a_fresh_connection_that_dies_is_no_reason_to_send_again(
    client: Client, peer: Peer, hang_up
) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    hang_up(conversation)
    with pytest.raises(ExchangeBroken, match="no answer came") as broken:
        await exchange.head()
    assert not broken.value.answered
    assert await peer.is_alone()


async def test_a_second_try_that_finds_nobody_is_a_connect_error(client: Client, peer: Peer) -> None:
    stale = await one(client, peer)
    peer.close()
    stale.close()
    exchange = await client.start(peer.origin, REQUEST, BODY)
    with pytest.raises(ConnectError):
        await exchange.head()
    exchange.abort()


async def test_an_aborted_exchange_is_not_sent_again(client: Client, peer: Peer) -> None:
    stale = await one(client, peer)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    waiting = asyncio.create_task(exchange.head())
    await stale.request()
    exchange.abort()
    with pytest.raises(ExchangeBroken, match="aborted"):
        await waiting
    await stale.ended()
    assert await peer.is_alone()


async def test_an_exchange_aborted_while_its_stale_connection_is_noticed_is_not_sent_again(
    client: Client, peer: Peer
) -> None:
    stale = await one(client, peer)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    stale.reset()
    await turns()  # it is known to be dead; nobody has asked for the head yet
    exchange.abort()
    with pytest.raises(ExchangeBroken, match="aborted"):
        await exchange.head()
    assert await peer.is_alone()


async def test_an_exchange_aborted_during_its_second_connect_sends_nothing(
    client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = await one(client, peer)
    gate, connecting, connect = asyncio.Event(), asyncio.Event(), client.connect

    async def slow_connect(origin):
        connecting.set()
        await gate.wait()
        return await connect(origin)

    monkeypatch.setattr(client, "connect", slow_connect)
    stale.close()
    exchange = await client.start(peer.origin, REQUEST, BODY)
    waiting = asyncio.create_task(exchange.head())
    await connecting.wait()
    exchange.abort()
    gate.set()
    with pytest.raises(ExchangeBroken, match="aborted"):
        await waiting
    assert await (await peer.accept()).request() == b""


async def test_silence_on_a_used_connection_is_not_staleness(
    make_client: Callable[..., Client], peer: Peer
) -> None:
    client = make_client(silence_s=0.01, idle_s=0.05)
    conversation = await one(client, peer)
    exchange = await client.start(peer.origin, REQUEST, BODY)
    with pytest.raises(ExchangeBroken, match="silent"):
        while True:
            await exchange.head()
    await conversation.ended()
    assert await peer.is_alone()


@pytest.mark.parametrize("second", [b"", b"HTTP/1.1 "], ids=["mute", "half"])
async def test_the_client_lives_with_any_number_of_stale_connections(
    client: Client, peer: Peer, second: bytes
) -> None:
    for conversation in await several(client, peer, 5):
        conversation.close()
    exchange = await client.start(peer.origin, REQUEST, BODY)
    waiting = asyncio.create_task(exchange.head())
    fresh = await peer.accept()
    await fresh.request()
    await fresh.say(OK)
    await waiting
    assert await rest(exchange) == b"ok"
