"""What passes between an engine's stream and a client: untouched where possible, trimmed where needed. Pure."""

import re
from collections import deque
from collections.abc import Sequence
from typing import Final

from controlplane.protocols import half_event
from controlplane.protocols.base import Surface, Usage
from controlplane.protocols.sse import MAX_EVENT
from flockpy.errors import EngineDied

TAIL: Final = 8192
"""Bytes of the stream's end that are kept to find the usage in."""
_LONG: Final = 4 * TAIL
"""Kept at most: it is not cut with each piece."""
_DONE: Final = re.compile(rb"\ndata: ?\[DONE\]")
"""At the start of a line, where no text of a model can stand: in a JSON string the line's end would be escaped."""
_DONE_SIZE: Final = len(b"\ndata: [DONE]")
_END: Final = 64
"""Bytes at the end of a read in which the mark is looked for; hardly anything follows it."""
_BLANK: Final = re.compile(rb"\n\r?\n")
_EVENT: Final = re.compile(rb".*?\n\r?\n", re.DOTALL)
_NO_CHOICES: Final = re.compile(rb'"choices":\s*\[\]')
_ERROR: Final = re.compile(rb'data: ?(?=\{"error")|error: ')
_PROGRESS: Final = b'"prompt_progress":'  # inside of a JSON string its quotes would be escaped


Fixes = Sequence[tuple[bytes, bytes]]


class Events:
    """Holds back the beginning of an event until all of it is there: what ends early can be followed by an error."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._last = b""  # the last bytes of what is held back, for a blank line that is cut in two

    def feed(self, data: bytes) -> bytes:
        """The events that are whole now. Raises EngineDied for one that does not end."""
        if not self._held and data.endswith((b"\n\n", b"\n\r\n")):
            return data
        seen = self._last + data
        lf, crlf = seen.rfind(b"\n\n"), seen.rfind(b"\n\r\n")
        cut = max(lf + 2 if lf >= 0 else 0, crlf + 3 if crlf >= 0 else 0) - len(self._last)
        if cut > 0:
            whole = b"".join((*self._held, data[:cut])) if self._held else data[:cut]
            self._held, self._size, data = [], 0, data[cut:]
            seen = data
        else:
            whole = b""
        if data:
            self._held.append(data)
            self._size += len(data)
            if self._size > MAX_EVENT:
                raise EngineDied(f"the stream has an event of more than {MAX_EVENT} bytes", retry_after=1)
        self._last = seen[-2:]
        return whole

    def rest(self) -> bytes:
        """What was held back when the stream ended: the last event may have no end."""
        held, self._held, self._last = b"".join(self._held), [], b""
        return held


class Tap:
    """Feed it what the engine sends, forward what it answers.

    `hide_usage`: we asked the engine for a usage chunk that the client did not ask for, so it is taken out again.
    `fixes`: pairs of bytes to replace in each event, for ids and names of the wrong kind. Without either, bytes pass as
    they are.
    """

    def __init__(self, surface: Surface, *, hide_usage: bool, fixes: Fixes) -> None:
        self._surface = surface
        self._hide_usage = hide_usage
        self._fixes = fixes
        self._raw = not hide_usage and not fixes
        self._whole = Events()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._lines = 0
        self._before = b"\n"  # the last bytes of what came before, for a mark that is cut in two
        self.done = False
        """The stream has said that it is complete."""

    def feed(self, data: bytes) -> bytes:
        """The bytes to forward now; b"" when an event is not complete yet and has to be looked into."""
        self._lines += data.count(b"\n")
        self._tail.append(data)
        self._tail_size += len(data)
        if self._tail_size > _LONG:
            while self._tail_size - len(self._tail[0]) >= TAIL:
                self._tail_size -= len(self._tail.popleft())
        if not self.done:
            seen = data[-_END:] if len(data) >= _END else self._before + data
            self.done = b"[DONE]" in seen and _DONE.search(seen) is not None
            self._before = seen[1 - _DONE_SIZE :]
        return data if self._raw else self._trimmed(self._whole.feed(data))

    def rest(self) -> bytes:
        """What was held back when the stream ended: engines may leave its last event without an end."""
        return self._trimmed(self._whole.rest())

    def half(self) -> bytes:
        """The beginning of an event that was forwarded without its end; b"" when the last one is whole."""
        return half_event.half(self._end()) if self._raw else b""

    @property
    def events(self) -> int:
        """Events seen; an engine sends about one for each token."""
        return self._lines // 2

    def usage(self) -> Usage | None:
        """The usage the engine gave, once the stream has ended."""
        for event in reversed(_BLANK.split(self._end())):
            if b'"usage"' in event and event.startswith(b"data:"):
                usage = self._surface.usage(event[5:])
                if usage is not None:
                    return usage
        return None

    def failure(self) -> bytes:
        """The error object (JSON) that the engine ended its stream with; b"" when it did not."""
        for event in _BLANK.split(self._end())[-3:]:
            if begin := _ERROR.match(event):
                return event[begin.end() :]
        return b""

    def _end(self) -> bytes:
        return b"".join(self._tail)

    def _trimmed(self, whole: bytes) -> bytes:
        for wrong, right in self._fixes:
            whole = whole.replace(wrong, right)
        if self._hide_usage and b'"usage"' in whole:
            events = _EVENT.findall(whole) or [whole]
            whole = b"".join(e for e in events if not (b'"usage"' in e and _NO_CHOICES.search(e)))
        return whole


class Progress:
    """Takes the reports on the reading of the prompt out of a stream; they come before its first token.

    `several` prompts or choices may have theirs later.
    """

    def __init__(self, *, several: bool) -> None:
        self._over = False
        self._several = several
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What is left of it; b"" while there are only such reports."""
        if self._over:
            return data
        self._held += data
        cut = self._held.rfind(b"\n\n") + 2
        if cut < 2:
            return b""
        whole, self._held = self._held[:cut], self._held[cut:]
        kept = b"\n\n".join(event for event in whole.split(b"\n\n") if _PROGRESS not in event)
        if not kept or self._several:
            return kept
        self._over = True
        return kept + self._held
