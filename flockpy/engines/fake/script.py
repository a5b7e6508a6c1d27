"""How a fake engine behaves, as data. Pure."""

from typing import Literal

import msgspec

Fault = Literal["none", "crash", "hang", "close", "reset", "garbage", "status", "event", "end"]


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fake engine's behaviour. Delays in seconds; `text` is streamed word by word, one token each.

    `fault` strikes every inference request after the first `good_requests`:

    ========== =====================================================================================
    crash      the process exits with status 70, after `chunks` chunks of the answer
    hang       nothing answers any more, /health neither; connections are accepted
    close      the connection is closed after `chunks` chunks
    reset      the connection is reset (RST) after `chunks` chunks
    garbage    the answer is not what the client asked for: bytes that are no JSON and no event
    status     the answer is `status` with an error object of llama.cpp's shape
    event      a stream ends with such an error object after `chunks` chunks; what is whole is like ``status``
    end        a stream ends well after `chunks` chunks, without its end mark
    ========== =====================================================================================

    `chunks` counts the chunk that names the role, too; -1 strikes before the answer's head.
    """

    text: str = "Hello from the fake engine."
    endless: bool = False
    """Repeat `text` until max_tokens (256 unless the request says)."""
    tool_call: str = ""
    """Arguments (JSON) with which the first tool of a request is called instead of a text."""
    tool_pieces: int = 1
    """A streamed call's arguments come in so many chunks; from 2 on after one that only names the tool."""
    slots: int = 2
    context: int = 4096
    """Words of a prompt; a longer one is refused."""
    load_s: float = 0
    """Until then /health answers 503."""
    load_error: str = ""
    """Written to stderr instead of serving; the process exits with status 1."""
    first_chunk_s: float = 0
    chunk_s: float = 0
    closes_after_stream: bool = True
    counts: bool = True
    """Answers carry a usage object."""
    fault: Fault = "none"
    good_requests: int = 0
    chunks: int = 0
    status: int = 500


class Counters(msgspec.Struct):
    """What one fake engine has seen."""

    requests: int = 0
    finished: int = 0
    cancelled: int = 0
    busy: int = 0
    waiting: int = 0
    chunks: int = 0
    """Sent in streams since it was told its script."""
