"""Answers as bytes: cut anywhere they stay the same, and what is no whole answer is never taken for one."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flockpy.http import Client, ExchangeBroken, Head
from flockpy.http.connection import MAX_HEAD
from tests.unit.flockpy.http.answers import BY_NAME, CHUNKED, FIXED, INTERIM, Answer, answers, split
from tests.unit.flockpy.http.peer import BODY, OK, REQUEST, Conversation, Peer, rest, turns, whole

pytestmark = pytest.mark.timeout(20)
WHOLE_ANSWERS = pytest.mark.parametrize("answer", BY_NAME.values(), ids=BY_NAME)


class Line:
    """Exchanges with one peer, one after the other; a new connection only when the client needs one."""

    def __init__(self, client: Client, peer: Peer) -> None:
        self.client = client
        self.peer = peer
        self.conversation: Conversation | None = None

    async def ask(self, answer: Answer, parts: list[bytes]) -> tuple[Head, bytes]:
        exchange = await self.client.start(self.peer.origin, REQUEST, BODY)
        if self.conversation is None:
            self.conversation = await self.peer.accept()
        conversation = self.conversation
        assert await conversation.request() == REQUEST + BODY
        await conversation.say(*parts)
        if answer.closes:
            conversation.close()
        if not answer.reusable:
            self.conversation = None
        found = await whole(exchange)
        if not answer.reusable and not answer.closes:
            await conversation.ended()
        return found


def assert_same(answer: Answer, head: Head, body: bytes) -> None:
    assert (head.status, head.headers, body) == (answer.status, answer.headers, answer.body)


@WHOLE_ANSWERS
async def test_an_answer_split_in_two_anywhere_is_the_same_answer(
    client: Client, peer: Peer, answer: Answer
) -> None:
    line = Line(client, peer)
    for cut in range(1, len(answer.wire)):
        assert_same(answer, *await line.ask(answer, [answer.wire[:cut], answer.wire[cut:]]))
    assert await peer.is_alone()


@WHOLE_ANSWERS
async def test_an_answer_byte_by_byte_or_at_once_is_the_same_answer(
    client: Client, peer: Peer, answer: Answer
) -> None:
    line = Line(client, peer)
    for size in (1, 2, 3, len(answer.wire)):
        parts = [answer.wire[at : at + size] for at in range(0, len(answer.wire), size)]
        assert_same(answer, *await line.ask(answer, parts))
    assert await peer.is_alone()


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(answer=answers(), cuts=st.lists(st.integers(0, 2000), max_size=8))
async def test_any_valid_answer_in_any_parts_is_the_same_answer(
    client: Client, peer: Peer, answer: Answer, cuts: list[int]
) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(*split(answer.wire, cuts))
    conversation.close()  # so that each example has a connection of its own
    assert_same(answer, *await whole(exchange))
    await turns()


async def test_each_part_is_read_alone(client: Client, peer: Peer) -> None:
    """The tests above rest on this."""
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    reads: list[bytes] = []
    connection = exchange._connection
    assert connection is not None
    feed = connection.data_received

    def spy(data: bytes) -> None:
        reads.append(data)
        feed(data)

    connection.data_received = spy  # pyright: ignore[reportAttributeAccessIssue]
    connection.transport.set_protocol(connection)  # uvloop looks methods up only then
    parts = [FIXED.wire[at : at + 1] for at in range(len(FIXED.wire))]
    await conversation.say(*parts)
    assert reads == parts


@pytest.mark.parametrize("answer", [FIXED, CHUNKED, INTERIM], ids=["fixed", "chunked", "interim"])
async def test_an_answer_that_ends_early_is_broken_wherever_it_ends(
    client: Client, peer: Peer, answer: Answer
) -> None:
    for end in range(len(answer.wire)):
        exchange = await client.start(peer.origin, REQUEST, BODY)
        conversation = await peer.accept()
        await conversation.request()
        await conversation.say(answer.wire[:end])
        conversation.close()
        with pytest.raises(ExchangeBroken) as broken:
            await exchange.head()
            while data := await exchange.read():
                assert isinstance(data, bytes)
                assert data in answer.body
        assert broken.value.answered == (end > 0), "whether it may have been worked on"
    assert await peer.is_alone()


async def test_an_answer_until_close_that_is_reset_is_broken(client: Client, peer: Peer) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
    conversation.reset()
    with pytest.raises(ExchangeBroken):
        await whole(exchange)


async def test_what_came_before_the_break_can_be_read(client: Client, peer: Peer) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    conversation.close()
    await turns()
    await exchange.head()
    assert await exchange.read() == b"half"
    with pytest.raises(ExchangeBroken, match="closed in mid-answer"):
        await exchange.read()


HEAD = b"HTTP/1.1 200 OK\r\n"
NOT_HTTP = {
    "both lengths": HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way round": HEAD
    + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nabc",
    "the same length twice": HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\nab",
    "a list of lengths": HEAD + b"content-length: 2, 2\r\n\r\nab",
    "a signed length": HEAD + b"content-length: +2\r\n\r\nab",
    "a negative length": HEAD + b"content-length: -2\r\n\r\nab",
    "an empty length": HEAD + b"content-length:\r\n\r\nab",
    "a length beyond 64 bits": HEAD + b"content-length: 99999999999999999999\r\n\r\nab",
    "a space before the colon": HEAD + b"content-length : 2\r\n\r\nab",
    "a folded header": HEAD + b"x-a: 1\r\n 2\r\ncontent-length: 2\r\n\r\nab",
    "a NUL in a header": HEAD + b"x-a: \0\r\ncontent-length: 2\r\n\r\nab",
    "bare LF": b"HTTP/1.1 200 OK\ncontent-length: 2\n\nab",
    "bare LF after a header": HEAD + b"x-a: 1\ncontent-length: 2\r\n\r\nab",
    "bare LF at the head's end": HEAD + b"content-length: 2\r\n\nab",
    "bare LF after a chunk's size": HEAD + b"transfer-encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
    "bare CR in a header": HEAD + b"x-a: 1\rcontent-length: 2\r\n\r\nab",
    "a chunk longer than its size": HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "a chunk's size with a prefix": HEAD + b"transfer-encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n",
    "a chunk's size with a space": HEAD + b"transfer-encoding: chunked\r\n\r\n2 \r\nab\r\n0\r\n\r\n",
    "a chunk's size beyond 64 bits": HEAD + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nab",
    "an interim answer with a body": b"HTTP/1.1 103 Hints\r\ncontent-length: 2\r\n\r\nab" + OK,
    "another protocol's greeting": b"220 mail.example ESMTP\r\n",
    "a protocol switch": b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n" + OK,
    "a bare protocol switch": b"HTTP/1.1 101 Switching\r\n\r\n" + OK,
    "noise": b"\x16\x03\x01\x02\x00",
}


@pytest.mark.parametrize("wire", NOT_HTTP.values(), ids=NOT_HTTP)
@pytest.mark.parametrize("size", [1, 1000], ids=["byte by byte", "at once"])
async def test_an_ambiguous_answer_is_refused_and_its_connection_closed(
    client: Client, peer: Peer, wire: bytes, size: int
) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    with contextlib.suppress(ConnectionError):  # it may have been refused already
        await conversation.say(*(wire[at : at + size] for at in range(0, len(wire), size)))
    with pytest.raises(ExchangeBroken, match="does not speak HTTP") as broken:
        await whole(exchange)
    assert broken.value.answered
    await conversation.ended()
    assert await peer.is_alone(), "an answer that came is no reason to ask again"


@pytest.mark.parametrize(
    "encoding", [b"gzip", b"chunked, gzip", b"xchunked"], ids=["gzip", "chunked, gzip", "xchunked"]
)
async def test_a_body_in_a_coding_that_hides_its_end_is_broken(
    client: Client, peer: Peer, encoding: bytes
) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(HEAD + b"transfer-encoding: " + encoding + b"\r\n\r\n0\r\n\r\n")
    conversation.close()
    with pytest.raises(ExchangeBroken):
        await whole(exchange)


@pytest.mark.parametrize(
    "extra", [OK, b"HTTP/1.1", b"GARBAGE", b"\r\n" + OK, b"\0"], ids=["answer", "half", "text", "CRLF", "NUL"]
)
@pytest.mark.parametrize("apart", [False, True], ids=["in the same read", "in the next read"])
@pytest.mark.parametrize("answer", [FIXED, CHUNKED], ids=["fixed", "chunked"])
async def test_bytes_after_an_answer_cost_the_connection_and_nothing_else(
    client: Client, peer: Peer, answer: Answer, extra: bytes, apart: bool
) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(*((answer.wire, extra) if apart else (answer.wire + extra,)))
    assert_same(answer, *await whole(exchange))
    await conversation.ended()
    await client.start(peer.origin, REQUEST, b"")
    await peer.accept()


@pytest.mark.parametrize("where", ["head", "name", "many", "interim", "trailers", "extension"])
async def test_headers_without_end_are_cut_off(client: Client, peer: Peer, where: str) -> None:
    chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    start, more = {
        "head": (b"HTTP/1.1 200 OK\r\nx-a: ", b"a" * 4096),
        "name": (b"HTTP/1.1 200 OK\r\n", b"a" * 4096),
        "many": (b"HTTP/1.1 200 OK\r\n", b"x-a: 1\r\n" * 512),
        "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        "trailers": (chunked + b"0\r\n", b"x-a: 1\r\n" * 512),
        "extension": (chunked + b"1;", b"a" * 4096),
    }[where]
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    sent = 0
    with pytest.raises(ConnectionError):
        await conversation.say(start)
        while sent < 2 * MAX_HEAD:
            await conversation.say(more)
            sent += len(more)
    assert MAX_HEAD - len(more) <= sent <= MAX_HEAD + 3 * len(more)
    with pytest.raises(ExchangeBroken, match=f"exceed {MAX_HEAD} bytes"):
        await whole(exchange)


async def test_a_head_that_is_too_long_is_refused_also_when_it_comes_at_once(
    client: Client, peer: Peer
) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * MAX_HEAD + b"\r\ncontent-length: 2\r\n\r\nok")
    with pytest.raises(ExchangeBroken, match=f"exceed {MAX_HEAD} bytes"):
        await whole(exchange)


async def test_a_head_just_within_the_limit_is_read(client: Client, peer: Peer) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    value = b"a" * (MAX_HEAD - 100)
    await conversation.say(b"HTTP/1.1 200 OK\r\nx-a: " + value, b"\r\ncontent-length: 2\r\n\r\nok")
    head, body = await whole(exchange)
    assert head.get(b"x-a") == value
    assert body == b"ok"


async def test_long_bodies_of_tiny_chunks_are_no_headers(client: Client, peer: Peer) -> None:
    exchange = await client.start(peer.origin, REQUEST, BODY)
    conversation = await peer.accept()
    await conversation.request()
    await conversation.say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    size = 0
    for _ in range(40):
        await conversation.say(b"1\r\na\r\n" * 1000)
        data = await exchange.read() if size else (await exchange.head(), await exchange.read())[1]
        assert isinstance(data, bytes)
        size += len(data)
    await conversation.say(b"0\r\n\r\n")
    assert size + len(await rest(exchange)) == 40_000


async def test_a_body_beyond_the_callers_limit_is_refused(client: Client, peer: Peer) -> None:
    for limit, fits in ((len(FIXED.body), True), (len(FIXED.body) - 1, False)):
        exchange = await client.start(peer.origin, REQUEST, BODY)
        conversation = await peer.accept()
        await conversation.request()
        await conversation.say(FIXED.wire[:-1])
        await exchange.head()
        await conversation.say(FIXED.wire[-1:])
        if fits:
            assert await exchange.body(limit) == FIXED.body
        else:
            with pytest.raises(ExchangeBroken, match="exceeds 10 bytes"):
                await exchange.body(limit)
        conversation.close()
        await turns()


async def test_the_first_of_two_headers_of_one_name_is_the_one_that_is_found() -> None:
    head = Head(200, ((b"x-a", b"1"), (b"x-a", b"2")))
    assert head.get(b"x-a") == b"1"
    assert head.get(b"x-b") == b""
