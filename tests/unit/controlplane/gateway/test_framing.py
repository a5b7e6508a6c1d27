"""Where a request begins and ends: there is one opinion about it, and none for ever."""

import asyncio

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.gateway import door
from tests.unit.controlplane.gateway.wire import Wire, chunked, get, post, statuses

TWO_LENGTHS = [
    b"content-length: 2",
    b"content-length: 3",
    b"transfer-encoding: chunked",
    b"transfer-encoding: gzip, chunked",
]
NO_LENGTHS = [
    b"content-length: +2",
    b"content-length: -2",
    b"content-length: 2, 2",
    b"content-length:",
    b"content-length: 0x2",
    b"content-length : 2",
    b"content-length: 18446744073709551616",
    b"content-length: 2\r\n folded: x",
    b"x: a\r\n\tfolded",
    b"x: a\nb: c",
    b"x: a\rb: c",
    b"x: \x00",
    b"x\x00: a",
    b" x: a",
    b": a",
    b"transfer-encoding: xchunked",
    b"transfer-encoding:\x0bchunked",
    b"transfer-encoding: chunked, chunked",
    b"transfer-encoding: chunked\r\ntransfer-encoding: chunked",
    b"transfer-encoding: chunked, identity",
]
NO_CHUNKS = [
    b"2 \r\nhi\r\n",
    b"0x2\r\nhi\r\n",
    b"+2\r\nhi\r\n",
    b"2\nhi\r\n",
    b"2\r\nhi\n0\r\n\r\n",
    b"2\r\nhi!0\r\n\r\n",
    b'2;a="\r\n"\r\nhi\r\n',
    b"2;\n\r\nhi\r\n",
    b"fffffffffffffffff\r\n",
    b"\r\nhi\r\n",
]
SMUGGLED = get(b"/v1/smuggled")


@pytest.mark.parametrize("path", [b"/v1/chat", b"/echo"])
@pytest.mark.parametrize(
    "sent",
    [
        *(post(b"PATH", b"hi", line) for line in TWO_LENGTHS),
        *(b"POST PATH HTTP/1.1\r\nhost: a\r\n%b\r\n\r\nhi" % line for line in NO_LENGTHS),
        *(chunked(path=b"PATH") + chunks for chunks in NO_CHUNKS),
        b"POST PATH HTTP/1.1\nhost: a\n\n",
        b"POST PATH HTTP/1.2\r\nhost: a\r\n\r\n",
        b"BREW PATH HTTP/1.1\r\nhost: a\r\n\r\n",
    ],
)
async def test_what_could_be_read_in_two_ways_is_refused_and_ends_the_connection(
    path: bytes, sent: bytes
) -> None:
    wire = Wire()
    assert statuses(await wire.send(sent.replace(b"PATH", path) + SMUGGLED)) == [400]
    await wire.send(SMUGGLED)
    assert b"connection: close" in wire.transport.written
    assert not wire.plane.started
    wire.look(door.LINGER_S + 1)
    assert wire.transport.closed


@pytest.mark.parametrize(
    "line", [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n"]
)
async def test_other_protocols_are_refused(line: bytes) -> None:
    wire = Wire()
    assert statuses(await wire.send(line + SMUGGLED)) == [400]
    assert not wire.plane.accepted
    assert not wire.scopes


async def test_who_waits_for_a_word_and_sends_rubbish_is_refused_once() -> None:
    wire = Wire()
    head = b"POST /echo HTTP/1.1\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n"
    assert statuses(await wire.send(head + b"zz\r\n")) == [400]


@pytest.mark.parametrize("path", [b"/v1/chat", b"/echo"])
async def test_trailers_are_no_headers(path: bytes) -> None:
    wire = Wire()
    await wire.send(chunked(b"hi", path=path) + b"0\r\nauthorization: Bearer x\r\n\r\n" + get(b"/next"))
    seen = wire.plane.started[0].headers if wire.plane.started else wire.scopes[0]["headers"]
    assert b"authorization" not in dict(seen)


@pytest.mark.parametrize("path", [b"/v1/chat", b"/echo"])
@pytest.mark.parametrize("sent", [b"x" * 100 + b": y\r\n", b"x"])
async def test_trailers_end(path: bytes, sent: bytes) -> None:
    wire = Wire()
    await wire.send(chunked(b"hi", path=path) + b"0\r\nx: ")
    for _ in range(door.MAX_HEAD // 1000 + 1):
        wire.connection.data_received((sent * 1000)[:1000])
    await wire.settle()
    assert statuses(wire.transport.written) in ([400], [431])


@pytest.mark.parametrize("junk", [b"\r\n" * 500, b"5;" + b"a" * 998])
async def test_what_brings_nothing_ends(junk: bytes) -> None:
    wire = Wire()
    if not junk.startswith(b"\r\n"):
        await wire.send(chunked(b"hi"))
    await wire.send(junk, *[junk.replace(b"5;", b"a;")] * (door.MAX_HEAD // 1000 + 1))
    assert statuses(wire.transport.written) == [431]


@pytest.mark.parametrize("path", [b"/v1/chat", b"/echo"])
@pytest.mark.parametrize("line", [b"x: " + b"a" * door.MAX_HEAD, b"\r\n".join([b"a: b"] * 300)])
async def test_a_head_has_a_size(path: bytes, line: bytes) -> None:
    wire = Wire()
    assert statuses(await wire.send(get(path, line) + SMUGGLED)) == [431]
    assert not wire.plane.accepted
    assert not wire.scopes


async def test_many_small_pieces_of_a_body_cost_no_more_than_it_is_long() -> None:
    wire = Wire(door.Limits(body_bytes=100_000))
    await wire.send(chunked(*[b"%05d" % i for i in range(20_000)]) + b"0\r\n\r\n")
    (asked,) = wire.plane.started
    assert len(asked.parts) < 2000
    assert b"".join(asked.parts) == b"".join(b"%05d" % i for i in range(20_000))


# another protocol is wished for

UPGRADE = (
    b"connection: Upgrade, HTTP2-Settings",
    b"upgrade: h2c",
    b"http2-settings: AAMAAABkAAQAoAAAAAIAAAAA",
)


@pytest.mark.parametrize("path", [b"/v1/chat", b"/echo"])
@pytest.mark.parametrize("size", [1, 50, 10_000])
async def test_who_asks_for_another_protocol_is_served_in_this_one(path: bytes, size: int) -> None:
    wire = Wire()
    sent = post(path, b"hello", *UPGRADE) * 2
    await wire.send(*(sent[i : i + size] for i in range(0, len(sent), size)))
    if path == b"/echo":
        assert wire.transport.written.count(b"/echo hello") == 2
    else:
        wire.plane.started[0].answer(200, b"", b"")
        assert [b"".join(asked.parts) for asked in wire.plane.started] == [b"hello", b"hello"]
    assert not wire.transport.closed


async def test_such_a_wish_behind_another_request_starts_that_one_once() -> None:
    wire = Wire()
    await wire.send(post() + post(b"/v1/two", b"hello", *UPGRADE))
    assert len(wire.plane.started) == 1
    wire.plane.started[0].answer(200, b"", b"")
    assert [asked.path for asked in wire.plane.started] == [b"/v1/chat", b"/v1/two"]


async def test_such_a_wish_changes_nothing_about_chunks_and_refusals() -> None:
    wire = Wire()
    await wire.send(
        chunked(b"hel", b"lo").replace(b"host: a", b"\r\n".join((b"host: a", *UPGRADE))) + b"0\r\n\r\n"
    )
    assert b"".join(wire.plane.started[0].parts) == b"hello"
    wire.plane.started[0].answer(200, b"", b"")
    assert statuses(await wire.send(post(b"/v1/forbidden", b"hi", *UPGRADE))) == [403]


def numbered(kind: str, number: int) -> bytes:
    """A request that is known by its path again; "application" in its name says who answers it."""
    path = (b"/%d" if "application" in kind else b"/v1/%d") % number
    if "chunked" in kind:
        return chunked(b"he", b"llo", path=path) + b"0\r\n\r\n"
    if "get" in kind:
        return get(path)
    lines = {"upgrade": UPGRADE, "expect": (b"expect: 100-continue",)}
    return post(path, b"hello", *(line for word in lines if word in kind for line in lines[word]))


KINDS = [
    f"{who} {what}"
    for who in ("application", "plane")
    for what in ("get", "post", "chunked", "upgrade", "expect")
]


def read_answers(written: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each, as a strict client reads them."""
    answers: list[tuple[int, bytes]] = []

    class Reader:
        body = b""

        def on_body(self, body: bytes) -> None:
            self.body += body

        def on_message_complete(self) -> None:
            answers.append((parser.get_status_code(), self.body))
            self.body = b""

    parser = httptools.HttpResponseParser(Reader())
    parser.feed_data(written)
    return answers


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=6),
    size=st.integers(1, 400),
    at_once=st.lists(st.booleans(), min_size=6, max_size=6),
)
@settings(max_examples=60)
def test_whatever_is_asked_in_whatever_pieces_is_answered_once_and_in_order(
    kinds: list[str], size: int, at_once: list[bool]
) -> None:
    async def converse() -> bytes:
        wire, said = Wire(), 0

        async def answer(*, all_of_them: bool) -> None:
            nonlocal said
            while said < len(wire.plane.started) and (all_of_them or at_once[said]):
                asked = wire.plane.started[said]
                asked.begin(b"", b"[%b " % asked.path)
                asked.end(b"".join(asked.parts) + b"]")
                said += 1
                await wire.settle()

        sent = b"".join(numbered(kind, number) for number, kind in enumerate(kinds))
        for begin in range(0, len(sent), size):
            if wire.transport.paused:
                await answer(all_of_them=True)
            assert not wire.transport.paused
            await wire.send(sent[begin : begin + size])
            await answer(all_of_them=False)
        await answer(all_of_them=True)
        assert not wire.transport.closed
        return wire.transport.written

    answers = [answer for answer in read_answers(asyncio.run(converse())) if answer[0] != 100]
    assert [status for status, _ in answers] == [200] * len(kinds)
    for number, (kind, (_, body)) in enumerate(zip(kinds, answers, strict=True)):
        assert b"/%d " % number in body
        assert (b"hello" in body) is ("get" not in kind)
