"""A vendor's stream that passes untouched, and what is heard of it on the way."""

from controlplane.egress.base import Unframe
from controlplane.gateway.hush import Hush
from controlplane.protocols.base import Usage
from controlplane.protocols.ir import Counted, Delta, Failure, Reader, Stop
from flockpy.errors import FlockError


class Heard:
    """Feed it what passes. `events` counts what a token each may have made; `done`: the answer is complete; `usage` is
    the vendor's last word on it, `failure` what ended it. `first` and `last` are pieces of it."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.events = 0
        self.done = False
        self.usage: Usage | None = None
        self.failure: FlockError | None = None
        self.first = self.last = b""

    def feed(self, data: bytes) -> None:
        self.first, self.last = self.first or data, data
        self._hear(self._reader.feed(data))

    def whole(self, body: bytes) -> None:
        """Instead: an answer in one piece."""
        self._hear(self._reader.whole(body))

    def _hear(self, deltas: list[Delta]) -> None:
        for delta in deltas:
            match delta:
                case Counted():
                    self.usage = delta.usage
                case Failure():
                    self.failure = delta.error
                case Stop():
                    self.done = True
                case _:
                    self.events += 1


class Unframed:
    """A reader behind what takes a vendor's framing off, and its secrets out; see `ir.Decoder`."""

    def __init__(self, reader: Reader, unframe: Unframe | None, hush: Hush) -> None:
        self._reader = reader
        self._unframe = unframe
        self._hush = hush

    def feed(self, data: bytes) -> list[Delta]:
        events = self._unframe.feed(data) if self._unframe else data
        return self._reader.feed(self._hush.feed(events))

    def end(self) -> list[Delta]:
        return [*self._reader.feed(self._hush.rest()), *self._reader.end()]
