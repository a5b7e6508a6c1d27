"""What the usage journal says, line by line. Pure.

A line is a CRC-32 in eight hexadecimal digits, a space, and then ``o`` and an `Opened` or ``c`` and a
`UsageRecord`, as JSON.
"""

from collections.abc import Iterable
from zlib import crc32

import msgspec

from controlplane.tenants.model import Surface, UsageRecord


class Opened(msgspec.Struct, frozen=True):
    """What is noted of a request at its admission; `prompt_tokens` is an estimate."""

    request_id: str
    time: float
    key_id: str
    user: str
    model: str
    surface: Surface
    stream: bool
    prompt_tokens: int
    reserved: int


_OPEN = b"o"
_CLOSE = b"c"
_encode = msgspec.json.Encoder().encode
_opened = msgspec.json.Decoder(Opened)
_closed = msgspec.json.Decoder(UsageRecord)


Entry = Opened | UsageRecord


def lines_of(entries: Iterable[Entry]) -> bytes:
    """What is written for them; for many at a time, while the code that does it is at hand."""
    payloads = [(_OPEN if type(entry) is Opened else _CLOSE) + _encode(entry) for entry in entries]
    return b"".join([b"%08x %b\n" % (crc32(payload), payload) for payload in payloads])


def unsealed(lines: Iterable[bytes]) -> list[bytes]:
    """What those of `lines` say that are not damaged."""
    split = ((line[:9], line[9:].rstrip(b"\n")) for line in lines)
    return [payload for seal, payload in split if seal == b"%08x " % crc32(payload)]


def closed_in(payloads: Iterable[bytes]) -> list[UsageRecord]:
    """The records among what lines say."""
    return [_closed.decode(payload[1:]) for payload in payloads if payload.startswith(_CLOSE)]


def as_read(records: Iterable[UsageRecord]) -> list[UsageRecord]:
    """The same as the journal would give them back: numbers have the types they are declared with, on which hashes of
    them depend."""
    return [_closed.decode(_encode(record)) for record in records]


def opened_in(payloads: Iterable[bytes]) -> list[Opened]:
    """The admissions among what lines say."""
    return [_opened.decode(payload[1:]) for payload in payloads if payload.startswith(_OPEN)]


def cut_off(opened: Opened) -> UsageRecord:
    """The record of a request whose leader died under it; nobody knows what its client had by then."""
    return UsageRecord(
        request_id=opened.request_id,
        time=opened.time,
        key_id=opened.key_id,
        user=opened.user,
        model=opened.model,
        node_id="",
        surface=opened.surface,
        stream=opened.stream,
        prompt_tokens=opened.prompt_tokens,
        completion_tokens=0,
        cached_tokens=0,
        tokens_source="estimated",
        queue_ms=0.0,
        ttft_ms=None,
        duration_ms=0.0,
        outcome="failed",
        status=500,
    )
