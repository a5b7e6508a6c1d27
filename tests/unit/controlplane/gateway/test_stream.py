"""An engine's stream on its way to a client: however it is cut, the same passes and the same is learnt from it."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.gateway.stream import TAIL, Events, Tap
from controlplane.protocols.base import Usage
from controlplane.protocols.openai_chat import ChatSurface

SURFACE = ChatSurface()
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}
COUNTED = Usage(7, 3, 2)
FIX = (b'"id":"chatcmpl-', b'"id":"cmpl-')
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict | None = None, finish: str | None = None, **rest: object) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    value = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": choices, **rest}
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


WORDS = [chunk({"role": "assistant", "content": None}), *(chunk({"content": word}) for word in ("Hel", "lo"))]
FINISH = chunk({}, "stop")
USAGE_ONLY = chunk(None, usage=USAGE, timings={"predicted_n": 3})
USAGE_ON_FINISH = chunk({}, "stop", usage=USAGE)
PROGRESS = b": keepalive 19/20\n\n"
ERROR = b'data: {"error":{"code":500,"message":"it broke"}}\n\n'

STREAMS = {
    "as llama.cpp sends it": [*WORDS, FINISH, USAGE_ONLY, DONE],
    "usage on the last chunk": [*WORDS, USAGE_ON_FINISH, DONE],
    "no usage": [*WORDS, FINISH, DONE],
    "nothing but the end": [DONE],
    "with comments": [PROGRESS, WORDS[0], PROGRESS, WORDS[1], FINISH, USAGE_ONLY, DONE],
    "usage first": [USAGE_ONLY, *WORDS, FINISH, DONE],
    "usage null on each": [
        chunk({"content": "a"}, usage=None),
        chunk({}, "stop", usage=None),
        USAGE_ONLY,
        DONE,
    ],
    "an error": [*WORDS, ERROR, DONE],
    "cut short": WORDS,
}
STREAM = pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS)


def usage_of(events: list[bytes]) -> Usage | None:
    return COUNTED if USAGE_ONLY in events or USAGE_ON_FINISH in events else None


def passed(tap: Tap, parts: list[bytes]) -> bytes:
    return b"".join(tap.feed(part) for part in parts)


def cuts(stream: bytes) -> Iterator[list[bytes]]:
    """The stream at once, byte by byte, and cut in two at every place."""
    yield [stream]
    yield [stream[at : at + 1] for at in range(len(stream))]
    for at in range(1, len(stream)):
        yield [stream[:at], stream[at:]]


def assert_learnt(tap: Tap, events: list[bytes]) -> None:
    assert tap.done == (DONE in events)
    assert tap.usage() == usage_of(events)
    assert bool(tap.failure()) == (ERROR in events)
    assert tap.events == len(events)


@STREAM
def test_an_untouched_stream_passes_byte_for_byte(events: list[bytes]) -> None:
    for parts in cuts(b"".join(events)):
        tap = Tap(SURFACE, hide_usage=False, fixes=())
        for part in parts:
            assert tap.feed(part) == part, "nothing is held back"
        assert_learnt(tap, events)


@STREAM
def test_hidden_usage_is_taken_out_and_nothing_else(events: list[bytes]) -> None:
    expected = b"".join(event for event in events if event != USAGE_ONLY)
    for parts in cuts(b"".join(events)):
        tap = Tap(SURFACE, hide_usage=True, fixes=())
        assert passed(tap, parts) == expected
        assert_learnt(tap, events)


@STREAM
@pytest.mark.parametrize("hide", [False, True])
def test_ids_are_replaced_and_nothing_else(events: list[bytes], hide: bool) -> None:
    kept = [event for event in events if not (hide and event == USAGE_ONLY)]
    expected = b"".join(kept).replace(*FIX)
    for parts in cuts(b"".join(events)):
        tap = Tap(SURFACE, hide_usage=hide, fixes=(FIX,))
        assert passed(tap, parts) == expected
        assert_learnt(tap, events)


def test_a_trimmed_stream_passes_whole_events_only() -> None:
    """What follows an engine's death must not stand in the middle of a line."""
    stream = b"".join(STREAMS["as llama.cpp sends it"])
    for at in range(len(stream)):
        out = Tap(SURFACE, hide_usage=True, fixes=()).feed(stream[:at])
        assert out == b"" or out.endswith(b"\n\n")
        assert stream.startswith(out) or USAGE_ONLY in stream[:at]


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"])
def test_a_stream_that_is_held_to_whole_events_can_end_anywhere(end: bytes) -> None:
    stream = b"".join(STREAMS["as llama.cpp sends it"]).replace(b"\n\n", end) + b"data: {"
    for parts in cuts(stream):
        events = Events()
        out = [events.feed(part) for part in parts]
        assert all(not piece or piece.endswith(end) for piece in out)
        assert events.rest() == b"data: {"
        assert b"".join(out) + b"data: {" == stream


def test_the_end_is_known_as_soon_as_it_is_said() -> None:
    """The request is settled before the client can have seen the end."""
    stream = b"".join(STREAMS["as llama.cpp sends it"])
    said = len(stream) - 2
    for at in range(1, said):
        tap = Tap(SURFACE, hide_usage=True, fixes=())
        tap.feed(stream[:at])
        assert not tap.done
        tap.feed(stream[at:said])
        assert tap.done
        assert tap.usage() == COUNTED


HARMLESS = [
    "[DONE]",
    "data: [DONE]",
    "\ndata: [DONE]\n\n",
    '"choices":[],"usage":{"prompt_tokens":99}',
    '"id":"chatcmpl-',
    'data: {"error": 1}',
    "\n\ndata: x\n\n",
    "\r\n",
    "é☃",
    "",
]


@pytest.mark.parametrize("text", HARMLESS, ids=repr)
def test_what_a_model_writes_is_never_taken_for_the_stream_itself(text: str) -> None:
    said = chunk({"content": text})
    assert_kept([said, *WORDS, said, FINISH, USAGE_ONLY, DONE])


def assert_kept(events: list[bytes]) -> None:
    stream = b"".join(events)
    expected = b"".join(event for event in events if event != USAGE_ONLY).replace(*FIX)
    for size in (1, 7, 50, len(stream)):
        tap = Tap(SURFACE, hide_usage=True, fixes=(FIX,))
        out = b""
        for at in range(0, len(stream), size):
            out += tap.feed(stream[at : at + size])
            assert not tap.done or at + size >= len(stream) - 2
        assert out == expected
        assert_learnt(tap, events)


def test_an_engines_error_as_its_last_word_is_a_failure() -> None:
    said = b'{"error":{"message":"it broke"}}'
    for error in (b"data: " + said + b"\n\n", b"error: " + said + b"\n\n"):
        tap = Tap(SURFACE, hide_usage=True, fixes=())
        out = passed(tap, [*WORDS, error, DONE])
        assert tap.failure() == said
        assert error in out, "its client sees it too"


def test_a_long_stream_keeps_only_its_end() -> None:
    tap = Tap(SURFACE, hide_usage=False, fixes=())
    for _ in range(10_000):
        tap.feed(WORDS[1])
    assert TAIL <= len(tap._end()) <= 4 * TAIL + len(WORDS[1])
    passed(tap, [FINISH, USAGE_ONLY, DONE])
    assert (tap.usage(), tap.done, tap.events) == (COUNTED, True, 10_003)


def test_the_end_is_found_after_one_long_read() -> None:
    tap = Tap(SURFACE, hide_usage=True, fixes=())
    out = tap.feed(WORDS[1] * 5000 + FINISH + USAGE_ONLY + DONE)
    assert out == WORDS[1] * 5000 + FINISH + DONE
    assert (tap.usage(), tap.done) == (COUNTED, True)


TEXTS = st.text(max_size=12) | st.sampled_from(HARMLESS)
EVENTS = st.one_of(
    TEXTS.map(lambda text: chunk({"content": text})),
    TEXTS.map(lambda text: chunk({"reasoning_content": text}, usage=None)),
    st.sampled_from([FINISH, PROGRESS, *WORDS]),
)


@given(
    st.lists(EVENTS, max_size=8),
    st.sampled_from([[], [USAGE_ONLY], [USAGE_ON_FINISH], [ERROR], [USAGE_ONLY, ERROR]]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([None, FIX]),
    st.lists(st.integers(0, 3000), max_size=10),
)
def test_any_stream_in_any_parts(
    said: list[bytes],
    end: list[bytes],
    done: bool,
    hide: bool,
    replace: tuple[bytes, bytes] | None,
    places: list[int],
) -> None:
    events = [*said, *end, *([DONE] if done else [])]
    stream = b"".join(events)
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    parts = [stream[a:b] for a, b in pairwise(edges) if a < b]
    expected = b"".join(event for event in events if not (hide and event == USAGE_ONLY))
    if replace:
        expected = expected.replace(*replace)
    tap = Tap(SURFACE, hide_usage=hide, fixes=(replace,) if replace else ())
    assert passed(tap, parts) == expected
    if len(stream) < TAIL:
        assert_learnt(tap, events)


# Other engines write the same in other ways.

CRLF = {name: [e.replace(b"\n", b"\r\n") for e in events] for name, events in STREAMS.items()}


@pytest.mark.parametrize("name", CRLF)
@pytest.mark.parametrize("hide", [False, True])
def test_lines_may_end_in_crlf(name: str, hide: bool) -> None:
    usage_only = USAGE_ONLY.replace(b"\n", b"\r\n")
    expected = b"".join(event for event in CRLF[name] if not (hide and event == usage_only))
    for parts in cuts(b"".join(CRLF[name])):
        tap = Tap(SURFACE, hide_usage=hide, fixes=())
        assert passed(tap, parts) == expected
        assert_learnt(tap, STREAMS[name])


def spaced(event: bytes) -> bytes:
    """As Python's json writes by default."""
    if not event.startswith(b"data: {"):
        return event
    return b"data: " + json.dumps(json.loads(event[6:])).encode() + b"\n\n"


@pytest.mark.parametrize(
    "write", [spaced, lambda event: event.replace(b"data: ", b"data:")], ids=["more", "less"]
)
@STREAM
def test_there_may_be_more_or_less_white_space(write, events: list[bytes]) -> None:
    expected = b"".join(write(event) for event in events if event != USAGE_ONLY)
    for parts in cuts(b"".join(map(write, events))):
        tap = Tap(SURFACE, hide_usage=True, fixes=())
        assert passed(tap, parts) == expected
        assert_learnt(tap, events)


@pytest.mark.parametrize("last", [b"data: [DONE]", b"data: [DONE]\n", b"data: [DONE]\r\n"], ids=repr)
@pytest.mark.parametrize("hide", [False, True])
def test_an_end_that_is_not_ended_reaches_the_client_too(last: bytes, hide: bool) -> None:
    stream = b"".join([*WORDS, FINISH]) + last
    for parts in cuts(stream):
        tap = Tap(SURFACE, hide_usage=hide, fixes=())
        assert passed(tap, parts) + tap.rest() == stream
        assert tap.done
        assert tap.rest() == b""


def test_a_usage_chunk_that_is_not_ended_is_hidden_too() -> None:
    tap = Tap(SURFACE, hide_usage=True, fixes=())
    assert passed(tap, [*WORDS, DONE, USAGE_ONLY.rstrip()]) + tap.rest() == b"".join([*WORDS, DONE])
