"""The frame of a decoder whose answers are JSON: whole, or cut into server-sent events. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from controlplane.protocols.base import UNREADABLE
from controlplane.protocols.ir import Delta, Failure
from controlplane.protocols.sse import SseReader
from flockpy.errors import EngineDied, FlockError

_DONE: Final = b"[DONE]"


class EventDecoder(ABC):
    """See `ir.Decoder`; also for an answer that is not streamed. Nothing comes after a `Failure`.

    Of a subclass: `_read` takes one datum; `_stopped` is set once the answer has said why it ended, `_over` when
    nothing more of it is to be read.
    """

    def __init__(self, reader: SseReader | None = None) -> None:
        self._reader = reader or SseReader()
        self._stopped = False
        self._over = False

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        for datum in self._reader.feed(data):
            self._datum(datum, deltas)
        return deltas

    def end(self) -> list[Delta]:
        deltas: list[Delta] = []
        for datum in self._last():
            self._datum(datum, deltas)
        if not (self._over or self._stopped):
            self._fail(died("before its answer was complete"), deltas)
        return deltas

    def whole(self, body: bytes) -> list[Delta]:
        """All deltas of an answer that is not streamed."""
        deltas: list[Delta] = []
        self._datum(body, deltas)
        if not (self._over or self._stopped):
            self._fail(died("without an answer"), deltas)
        return deltas

    def _last(self) -> Iterable[bytes]:
        """What the end of the bytes completes."""
        return self._reader.end()

    def _datum(self, datum: bytes, deltas: list[Delta]) -> None:
        if self._over or datum == _DONE:
            return
        try:
            self._read(datum, deltas)
        except UNREADABLE as error:
            self._fail(died(f"with what is no part of an answer: {error}"), deltas)

    @abstractmethod
    def _read(self, datum: bytes, deltas: list[Delta]) -> None:
        """Raises one of UNREADABLE."""

    def _fail(self, error: FlockError, deltas: list[Delta]) -> None:
        self._over = True
        deltas.append(Failure(error))


def died(how: str) -> EngineDied:
    """That an answer broke off, and how."""
    return EngineDied(f"the engine broke off {how}", retry_after=1)
