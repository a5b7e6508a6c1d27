"""A body handed over by call: the same bytes as by reading, at the receiver's pace, and no failure is lost."""

import asyncio
from collections.abc import Callable

import pytest

from flockpy.http import Client, Exchange, ExchangeBroken
from flockpy.http.client import HIGH_WATER
from tests.unit.flockpy.http.answers import BY_NAME, CHUNKED, Answer
from tests.unit.flockpy.http.peer import AT_ONCE_S, BODY, OK, REQUEST, Conversation, Peer, turns, whole

pytestmark = pytest.mark.timeout(20)
OPEN = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
PIECE = b"5\r\nhello\r\n"
LAST = b"0\r\n\r\n"
READ_AT_MOST = 256 * 1024


class Receiver:
    """Keeps what it gets. While `held` it asks to be waited for."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.silences = 0
        self.held = False
        self.holds: list[asyncio.Future[None]] = []
        self.fails: Exception | None = None
        self.then: Callable[[], None] = lambda: None

    def __call__(self, data: bytes) -> "asyncio.Future[None] | None":
        assert all(hold.done() for hold in self.holds), "nothing comes while it is busy"
        self.parts.append(data)
        self.then()
        if self.fails is not None:
            raise self.fails
        if not self.held:
            return None
        self.holds.append(asyncio.get_running_loop().create_future())
        return self.holds[-1]

    def on_silence(self) -> None:
        self.silences += 1
        if self.fails is not None:
            raise self.fails

    @property
    def received(self) -> bytes:
        return b"".join(self.parts)


class Relay:
    """An exchange that is being relayed."""

    def __init__(self, exchange: Exchange, conversation: Conversation) -> None:
        self.exchange = exchange
        self.conversation = conversation
        self.to = Receiver()
        self.task = asyncio.create_task(exchange.relay(self.to, self.to.on_silence))


async def relaying(client: Client, peer: Peer, head: bytes = OPEN) -> Relay:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(head)
    await exchange.head()
    relay = Relay(exchange, conversation)
    await turns()
    return relay


@pytest.mark.parametrize("answer", BY_NAME.values(), ids=BY_NAME)
@pytest.mark.parametrize("size", [1, 3, 10_000])
async def test_every_answer_is_relayed_whole_in_any_parts(
    client: Client, peer: Peer, answer: Answer, size: int
) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()

    async def answering() -> None:
        await conversation.say(*(answer.wire[at : at + size] for at in range(0, len(answer.wire), size)))
        if answer.closes:
            conversation.close()

    sending = asyncio.create_task(answering())
    await exchange.head()
    to = Receiver()
    await exchange.relay(to, to.on_silence)
    await sending
    assert to.received == answer.body
    assert to.silences == 0


async def test_each_piece_is_handed_over_as_it_comes(client: Client, peer: Peer) -> None:
    relay = await relaying(client, peer)
    for count in range(1, 4):
        await relay.conversation.say(PIECE)
        assert relay.to.parts == [b"hello"] * count
    assert not relay.task.done()
    await relay.conversation.say(LAST)
    await relay.task
    again = await client.start(peer.origin, REQUEST, BODY)
    assert await relay.conversation.request() == REQUEST + BODY, "the connection is used again"
    await relay.conversation.say(OK)
    assert (await whole(again))[1] == b"ok"


async def test_an_answer_that_has_come_already_is_relayed(client: Client, peer: Peer) -> None:
    relay = await relaying(client, peer, CHUNKED.wire)
    await relay.task
    assert relay.to.received == CHUNKED.body


async def test_an_early_end_is_told_after_what_came(client: Client, peer: Peer) -> None:
    relay = await relaying(client, peer)
    await relay.conversation.say(PIECE)
    relay.conversation.close()
    with pytest.raises(ExchangeBroken, match="mid-answer"):
        await relay.task
    assert relay.to.received == b"hello"


async def test_a_busy_receiver_gets_the_rest_when_it_is_ready(client: Client, peer: Peer) -> None:
    relay = await relaying(client, peer)
    relay.to.held = True
    await relay.conversation.say(PIECE, PIECE, PIECE)
    assert relay.to.parts == [b"hello"]
    relay.to.holds[0].set_result(None)
    await turns()
    assert relay.to.parts == [b"hello", b"hellohello"]
    await relay.conversation.say(PIECE + LAST)
    assert not relay.task.done(), "the end waits for the receiver too"
    relay.to.held = False
    relay.to.holds[1].set_result(None)
    await relay.task
    assert relay.to.received == b"hello" * 4


async def test_a_receiver_that_stalls_stops_its_peer_and_costs_no_memory(client: Client, peer: Peer) -> None:
    relay = await relaying(client, peer, b"HTTP/1.1 200 OK\r\n\r\n")
    relay.to.held = True
    sent, piece, stuck = 0, b"x" * 65536, 0
    while stuck < 100:
        try:
            sent += relay.conversation.sock.send(piece)
            stuck = 0
        except BlockingIOError:
            stuck += 1
            await turns(1)
    assert sent < 64 * 2**20
    relay.to.held = False
    relay.to.holds[0].set_result(None)
    relay.conversation.close()
    await relay.task
    assert len(relay.to.received) == sent
    assert max(map(len, relay.to.parts)) <= HIGH_WATER + READ_AT_MOST


@pytest.mark.parametrize("how", ["cancelled", "failed"])
async def test_a_receiver_that_is_gone_ends_the_exchange(client: Client, peer: Peer, how: str) -> None:
    relay = await relaying(client, peer)
    relay.to.held = True
    await relay.conversation.say(PIECE)
    if how == "cancelled":
        relay.to.holds[0].cancel()
    else:
        relay.to.holds[0].set_exception(OSError("gone"))
    with pytest.raises(ExchangeBroken, match="receiver is gone"):
        await relay.task
    await relay.conversation.ended()


@pytest.mark.parametrize("busy", [False, True], ids=["waiting", "busy"])
async def test_abort_ends_a_relay_at_once(client: Client, peer: Peer, busy: bool) -> None:
    relay = await relaying(client, peer)
    relay.to.held = busy
    await relay.conversation.say(PIECE)
    relay.exchange.abort()
    async with asyncio.timeout(AT_ONCE_S):
        await relay.conversation.ended()
        with pytest.raises(ExchangeBroken, match="aborted"):
            await relay.task
    for hold in relay.to.holds:
        hold.set_result(None)
    await turns()
    assert relay.to.parts == [b"hello"]


async def test_a_receiver_may_abort_from_within(client: Client, peer: Peer) -> None:
    relay = await relaying(client, peer)
    relay.to.then = relay.exchange.abort
    await relay.conversation.say(PIECE)
    with pytest.raises(ExchangeBroken, match="aborted"):
        await relay.task
    await relay.conversation.ended()


@pytest.mark.parametrize("data", [PIECE, PIECE + LAST], ids=["in the middle", "at the end"])
async def test_what_the_receiver_raises_is_raised_by_the_relay(
    client: Client, peer: Peer, data: bytes
) -> None:
    """It was called by the event loop, which would only log it, and the relay would wait for ever."""
    relay = await relaying(client, peer)
    relay.to.fails = LookupError("a fault")
    await relay.conversation.say(data)
    async with asyncio.timeout(AT_ONCE_S):
        with pytest.raises(LookupError, match="a fault"):
            await relay.task
    if not data.endswith(LAST):
        await relay.conversation.ended()


async def test_what_the_receiver_raises_after_it_was_busy_is_raised_by_the_relay(
    client: Client, peer: Peer
) -> None:
    relay = await relaying(client, peer)
    relay.to.held = True
    await relay.conversation.say(PIECE, PIECE + LAST)
    relay.to.fails = LookupError("a fault")
    relay.to.holds[0].set_result(None)
    async with asyncio.timeout(AT_ONCE_S):
        with pytest.raises(LookupError, match="a fault"):
            await relay.task


async def test_what_the_receiver_raises_at_once_is_raised_by_the_relay(client: Client, peer: Peer) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(OPEN + PIECE)
    await exchange.head()
    to = Receiver()
    to.fails = LookupError("a fault")
    with pytest.raises(LookupError, match="a fault"):
        await exchange.relay(to, to.on_silence)


@pytest.fixture
async def hasty(make_client: Callable[..., Client]) -> Client:
    return make_client(silence_s=0.02, idle_s=0.6)


async def test_silence_is_told_until_it_is_too_long(hasty: Client, peer: Peer) -> None:
    relay = await relaying(hasty, peer)
    await relay.conversation.say(PIECE)
    with pytest.raises(ExchangeBroken, match="the peer was silent"):
        await relay.task
    assert 1 <= relay.to.silences <= 36
    await relay.conversation.ended()


async def test_what_is_raised_when_told_of_silence_is_raised_by_the_relay(hasty: Client, peer: Peer) -> None:
    relay = await relaying(hasty, peer)
    relay.to.fails = LookupError("a fault")
    async with asyncio.timeout(AT_ONCE_S):
        with pytest.raises(LookupError, match="a fault"):
            await relay.task
    other = await relaying(hasty, peer)
    with pytest.raises(ExchangeBroken, match="the peer was silent"):
        await other.task
    assert other.to.silences, "silences of others are still noticed"


async def test_a_receiver_that_stalls_too_long_is_not_blamed_on_the_peer(hasty: Client, peer: Peer) -> None:
    relay = await relaying(hasty, peer)
    relay.to.held = True
    await relay.conversation.say(PIECE)
    with pytest.raises(ExchangeBroken, match="the receiver took nothing"):
        await relay.task
    assert relay.to.silences == 0
    await relay.conversation.ended()


async def test_a_cancelled_relay_leaves_nothing_that_calls_the_receiver(client: Client, peer: Peer) -> None:
    relay = await relaying(client, peer)
    relay.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await relay.task
    await relay.conversation.say(PIECE)
    assert relay.to.parts == []
    relay.exchange.abort()
    await relay.conversation.ended()
