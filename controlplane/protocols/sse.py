"""Server-sent events, cut anywhere: bytes in, the data of whole events out. Pure."""

from typing import Final

from flockpy.errors import EngineDied

MAX_EVENT: Final = 64 * 2**20
"""Bytes; a picture in base 64 may stand in one."""


class SseReader:
    """Reads one stream. Lines end with LF or CR LF; names of events, ids and comments are passed over."""

    __slots__ = ("_data", "_rest", "_size")

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0  # of both

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes; several data lines of one event are joined by LF.

        Raises EngineDied for an event that does not end.
        """
        self._size += len(chunk)
        if self._size > MAX_EVENT:
            raise EngineDied(f"the stream has an event of more than {MAX_EVENT} bytes", retry_after=1)
        first, *more = chunk.split(b"\n")
        self._rest.append(first)
        events: list[bytes] = []
        if more:
            self._line(b"".join(self._rest), events)
            self._rest = [more.pop()]
            for line in more:
                self._line(line, events)
            self._size = len(self._rest[0]) + sum(map(len, self._data))
        return events

    def end(self) -> list[bytes]:
        """What the last event had, when the blank line after it never came."""
        events: list[bytes] = []
        self._line(b"".join(self._rest), events)
        self._line(b"", events)
        self._rest = []
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line and self._data:
            events.append(b"\n".join(self._data))
            self._data.clear()
