"""Valid answers in every framing, with what a client must make of them."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st


@dataclass(frozen=True)
class Answer:
    """`wire` is all that is sent; `closes`: its end is the end of the connection; `reusable`: it may be followed by
    another exchange."""

    wire: bytes
    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    closes: bool = False
    reusable: bool = True


FIXED = Answer(
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nX-A: 1\r\n\r\nhello world",
    200,
    ((b"content-length", b"11"), (b"x-a", b"1")),
    b"hello world",
)
EMPTY = Answer(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, ((b"content-length", b"0"),), b"")
NO_CONTENT = Answer(b"HTTP/1.1 204 No Content\r\n\r\n", 204, (), b"")
CHUNKED = Answer(
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n1;name=value\r\n \r\n"
    b'00A;q="a b"\r\nwide world\r\n0;last\r\nx-trailer: 1\r\nx-other: 2\r\n\r\n',
    200,
    ((b"transfer-encoding", b"chunked"),),
    b"hello wide world",
)
UNTIL_CLOSE = Answer(
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nto the end",
    200,
    ((b"content-type", b"text/plain"),),
    b"to the end",
    closes=True,
    reusable=False,
)
SAYS_CLOSE = Answer(
    b"HTTP/1.1 500 Oh\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno",
    500,
    ((b"connection", b"close"), (b"content-length", b"2")),
    b"no",
    reusable=False,
)
NO_CONTENT_AND_CLOSE = Answer(
    b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
    204,
    ((b"connection", b"close"),),
    b"",
    reusable=False,
)
OLD = Answer(
    b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
    200,
    ((b"content-length", b"2"),),
    b"ok",
    reusable=False,
)
INTERIM = Answer(
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok",
    201,
    ((b"content-length", b"2"),),
    b"ok",
)
NO_REASON = Answer(
    b"HTTP/1.1 200\r\nempty:\r\ncontent-length: 2\r\n\r\nok",
    200,
    ((b"empty", b""), (b"content-length", b"2")),
    b"ok",
)
BY_NAME = {
    "fixed": FIXED,
    "empty": EMPTY,
    "no content": NO_CONTENT,
    "chunked": CHUNKED,
    "until close": UNTIL_CLOSE,
    "says close": SAYS_CLOSE,
    "no content and close": NO_CONTENT_AND_CLOSE,
    "old": OLD,
    "interim": INTERIM,
    "no reason": NO_REASON,
}

_TOKEN = st.text("abcdefghijklmnopqrstuvwxyzABCDEFXYZ0123456789-_.!#$%&'*+^`|~", min_size=1, max_size=20)
_VALUE = st.binary(max_size=40).map(
    lambda value: bytes(byte for byte in value if byte > 0x20 and byte != 0x7F)
)
_FRAMING = {"content-length", "transfer-encoding", "connection", "upgrade", "proxy-connection"}
_HEADERS = st.lists(
    st.tuples(_TOKEN.filter(lambda name: name.lower() not in _FRAMING).map(str.encode), _VALUE), max_size=6
)
_INTERIM = st.lists(st.sampled_from([100, 102, 103]), max_size=2)


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %d Whatever\r\n%b\r\n" % (status, lines)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """Any valid answer to a POST."""
    interim = b"".join(_head(status, draw(_HEADERS)) for status in draw(_INTERIM))
    status = draw(st.integers(200, 599).filter(lambda status: status not in (204, 205, 304)))
    headers, pieces = draw(_HEADERS), draw(st.lists(st.binary(min_size=1, max_size=60), max_size=4))
    body, framing = b"".join(pieces), draw(st.sampled_from(["fixed", "chunked", "close"]))
    if framing == "fixed":
        headers.insert(draw(st.integers(0, len(headers))), (b"Content-Length", b"%d" % len(body)))
        wire = body
    elif framing == "chunked":
        headers.insert(draw(st.integers(0, len(headers))), (b"Transfer-Encoding", b"chunked"))
        extension = draw(st.sampled_from([b"", b";a", b";a=b", b';a="b c"']))
        trailers = b"".join(b"%b: %b\r\n" % trailer for trailer in draw(_HEADERS))
        wire = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
        wire += b"0%b\r\n%b\r\n" % (extension, trailers)
    else:
        wire = body
    return Answer(
        interim + _head(status, headers) + wire,
        status,
        tuple((name.lower(), value) for name, value in headers),
        body,
        closes=framing == "close",
        reusable=framing != "close",
    )


def split(wire: bytes, cuts: list[int]) -> list[bytes]:
    """The parts of `wire` when it is cut at these places."""
    edges = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return [part for start, end in pairwise(edges) if (part := wire[start:end])]
