"""Server-sent events, cut anywhere: bytes in, the data of whole events out. Pure."""


class SseReader:
    """Reads one stream. Lines end with LF or CR LF; names of events, ids and comments are passed over."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that `chunk` completes; several data lines of one event are joined by LF."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        events: list[bytes] = []
        for line in lines:
            self._line(line, events)
        return events

    def end(self) -> list[bytes]:
        """What the last event had, when the blank line after it never came."""
        events: list[bytes] = []
        self._line(self._rest, events)
        self._line(b"", events)
        self._rest = b""
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if line.endswith(b"\r"):
            line = line[:-1]
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif not line and self._data:
            events.append(b"\n".join(self._data))
            self._data.clear()
