"""An event that its engine left half said: wherever it was cut, what its client reads is whole, and says the error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.half_event import ending, half

ERROR = {"message": "it broke", "code": "engine_died"}
SAID = json.dumps({"error": ERROR}, separators=(",", ":")).encode()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=4).filter(lambda name: name != "error"), VALUES, max_size=4)
CHUNK = {
    "id": "chatcmpl-1",
    "created": 1,
    "choices": [{"index": 0, "delta": {"content": 'a "Grüße" \\ 😀 \n'}, "finish_reason": None}],
    "usage": None,
    "cost": -1.5e-7,
    "ok": [True, False],
}


def read(event: bytes) -> object:
    """As a strict client reads one: its bytes are UTF-8, its data are JSON."""
    assert event.startswith(b"data: ")
    return json.loads(event.decode().removeprefix("data: "))


@pytest.mark.parametrize("ascii", [True, False], ids=["escaped", "as it is"])
@pytest.mark.parametrize("spaces", [(",", ":"), (", ", ": ")], ids=["tight", "loose"])
def test_a_chunk_that_is_cut_anywhere_is_read_as_the_error(ascii: bool, spaces: tuple[str, str]):
    event = b"data: " + json.dumps(CHUNK, ensure_ascii=ascii, separators=spaces).encode()
    for at in range(len("data: "), len(event)):
        told = read(event[:at] + ending(event[:at], SAID))
        assert isinstance(told, dict)
        assert told["error"] == ERROR, event[:at]


@given(OBJECTS, st.booleans(), st.data())
def test_so_is_any_object(said: dict[str, object], ascii: bool, data: st.DataObject):
    event = b"data: " + json.dumps(said, ensure_ascii=ascii).encode("utf-8", "surrogatepass")
    at = data.draw(st.integers(len("data: "), len(event) - 1))
    told = read(event[:at] + ending(event[:at], SAID))
    assert isinstance(told, dict)
    assert told["error"] == ERROR


def test_what_is_whole_stays_so():
    event = b"data: " + json.dumps(CHUNK).encode()
    assert ending(event, SAID) == b""
    assert ending(event + b"\n", SAID) == b""


@pytest.mark.parametrize("cut", ["data: [", "data: [DON", "data:[DONE"])
def test_the_mark_of_the_end_is_completed(cut: str):
    assert (cut.encode() + ending(cut.encode(), SAID)).endswith(b"[DONE]")


@pytest.mark.parametrize("cut", ["", "da", ": keepalive 19/2", "event: mess", "data: plain wor", "data: 12"])
def test_what_is_no_object_is_left_alone(cut: str):
    assert ending(cut.encode(), SAID) == b""


@pytest.mark.parametrize("letter", ["ü", "ࠀ", "€", "😀", "\U0010ffff"])
def test_a_character_that_is_cut_is_completed(letter: str):
    for size in range(1, len(letter.encode())):
        cut = b": " + letter.encode()[:size]
        (cut + ending(cut, SAID)).decode()


@pytest.mark.parametrize("blank", [b"\n\n", b"\r\n\r\n", b"\n\r\n"])
def test_what_comes_after_the_last_blank_line_is_half_an_event(blank: bytes):
    whole = b'data: {"a":1}' + blank
    assert half(whole) == half(b"") == b""
    assert half(whole + whole + b'data: {"b') == b'data: {"b'
    assert half(b"data: x") == b"data: x"
