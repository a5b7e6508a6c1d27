"""Server-sent events come out the same, however their bytes are cut."""

import pytest

from controlplane.protocols.sse import MAX_EVENT, SseReader
from flockpy.errors import EngineDied
from tests.unit.controlplane.protocols.deltas import every_byte, in_two

STREAM = (
    b': comment\n\nevent: a\ndata: {"x":1}\nid: 7\n\n\n\ndata:no space\n\n'
    b"data:  two\ndata\ndata: \xf0\x9f\x8e\x89\xe2\x80\xa8lines\n\nretry: 5\n\ndata: [DONE]\n\n"
)
DATA = [b'{"x":1}', b"no space", b" two\n\xf0\x9f\x8e\x89\xe2\x80\xa8lines", b"[DONE]"]


def read(chunks: list[bytes]) -> list[bytes]:
    reader = SseReader()
    return [data for chunk in chunks for data in reader.feed(chunk)] + reader.end()


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_events_come_out_whole_wherever_the_bytes_are_cut(newline: bytes):
    stream = STREAM.replace(b"\n", newline)
    assert read([stream]) == read(every_byte(stream)) == DATA
    assert all(read(list(halves)) == DATA for halves in in_two(stream))


@pytest.mark.parametrize("lost", [1, 2])
def test_a_last_event_without_its_blank_line_is_still_read_at_the_end(lost: int):
    assert read([STREAM[:-lost]]) == DATA


def test_an_event_is_out_with_its_blank_line_and_not_later():
    reader = SseReader()
    assert reader.feed(b"data: a\n") == []
    assert reader.feed(b"\n") == [b"a"]
    assert reader.end() == []


@pytest.mark.parametrize("piece", [b"x" * 2**20, b"data: " + b"x" * 2**20 + b"\n"], ids=["line", "lines"])
def test_an_event_without_end_is_given_up(piece: bytes):
    reader = SseReader()
    with pytest.raises(EngineDied, match="more than"):
        for _ in range(2 * MAX_EVENT // len(piece)):
            assert reader.feed(piece) == []


def test_any_number_of_events_may_come():
    reader = SseReader()
    event = b"data: " + b"x" * 2**20 + b"\n\n"
    for _ in range(2 * MAX_EVENT // len(event)):
        assert len(reader.feed(event)) == 1
