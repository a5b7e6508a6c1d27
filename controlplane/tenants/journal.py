"""The usage journal: numbered files of checked lines, made ahead so that a full disk does not stop them.

Each segment is allocated whole before it is used, and a spare one always stands ready. What has been
written ends at the first NUL; a line torn by a crash fails its checksum and is left out. A later process
reads the segments and begins a new one; only where there is no room for that it goes on in the newest.

Writing is one system call into the page cache: it outlives the process (`kill -9`), not a power cut.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controlplane.tenants.accounts import Position
from controlplane.tenants.lines import unsealed
from flockpy.security import private_dir

READ_BYTES = 256 * 2**10
_ZEROS = bytes(2**20)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What the lines from one place on say; `after` is where to read next, `damaged` counts lines left out."""

    payloads: tuple[bytes, ...]
    after: Position
    damaged: int = 0


class Journal:
    """Appends to the newest segment and reads all of them. Only `tidy` may run in another thread.

    `carry` answers the lines that a new segment begins with (what older ones still say of requests in
    flight), so that every older segment can be given up once it has been read.
    """

    def __init__(self, directory: Path, carry: Callable[[], bytes], segment_bytes: int) -> None:
        self._directory = private_dir(directory)
        self._carry = carry
        self._size = segment_bytes
        self._fd = -1
        self._spare = directory / "spare"
        self._making = directory / "spare.making"
        newest = max(self.segments(), default=0)
        self._segment, self._offset = newest + 1, 0
        try:
            if self._spare.exists():  # an older process may have begun to write to it
                self._blank(self._spare)
            self.tidy(0)
        except OSError:
            if newest:
                self._resume(newest)

    @property
    def end(self) -> Position:
        """Where the next line goes."""
        return Position(self._segment, self._offset)

    def segments(self) -> list[int]:
        """Numbers of the segments on disk, oldest first."""
        return sorted(int(path.stem) for path in self._directory.glob("*.journal") if path.stem.isdigit())

    def append(self, lines: bytes) -> None:
        """Write whole lines, together shorter than a segment.

        Raises OSError when that is impossible; none of `lines` then counts and the call can be repeated.
        """
        if self._fd < 0:
            self._begin(self._segment)
        elif self._offset + len(lines) > self._size:
            self._begin(self._segment + 1)
        _write(self._fd, lines, self._offset)
        self._offset += len(lines)

    def read(self, start: Position, until: Position | None = None) -> Chunk:
        """Whole lines from `start` on, at most `READ_BYTES` of one segment, none beyond `until`.

        `after` == `start` means that nothing follows.
        """
        end = until or self.end
        limit = READ_BYTES if start.segment < end.segment else min(READ_BYTES, end.offset - start.offset)
        text = self._text(start, limit) if limit > 0 else b""
        whole = text[: text.rfind(b"\n") + 1]
        if not whole:
            later = [number for number in (*self.segments(), end.segment) if number > start.segment]
            on = later and later[0] <= end.segment
            # text without an end is what a crash cut off: nobody was told that it had been written
            return Chunk((), Position(later[0], 0) if on else start)
        lines = whole[:-1].split(b"\n")
        good = tuple(unsealed(lines))
        return Chunk(good, Position(start.segment, start.offset + len(whole)), damaged=len(lines) - len(good))

    def tidy(self, before: int) -> None:
        """Give up the segments numbered below `before`, and see to it that a spare stands ready.

        Takes milliseconds. Raises OSError when there is no room for a spare.
        """
        for number in self.segments():
            if number < before:
                path = self._path(number)
                if self._spare.exists():
                    path.unlink()
                else:  # its space is kept: a full disk cannot take it away
                    self._blank(path)
        if not self._spare.exists():
            _allocate(self._making, self._size)
            self._making.rename(self._spare)

    def close(self) -> None:
        """Write no more to the newest segment; another line would begin another."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._segment, self._offset = self._segment + 1, 0

    def _blank(self, path: Path) -> None:
        """Make the spare of a file."""
        path.rename(self._making)
        _blank(self._making, self._size)
        self._making.rename(self._spare)

    def _resume(self, number: int) -> None:
        """Write on behind the last whole line of a segment."""
        text = self._path(number).read_bytes().partition(b"\0")[0]
        end = text.rfind(b"\n") + 1
        self._fd = os.open(self._path(number), os.O_WRONLY)
        _write(self._fd, bytes(len(text) - end), end)
        self._segment, self._offset = number, end

    def _text(self, start: Position, limit: int) -> bytes:
        try:
            with self._path(start.segment).open("rb") as file:
                file.seek(start.offset)
                return file.read(limit).partition(b"\0")[0]
        except FileNotFoundError:
            return b""

    def _begin(self, number: int) -> None:
        source = self._spare
        if not source.exists():
            source = self._directory / "next.making"
            _allocate(source, self._size)
        carried = self._carry()
        descriptor = os.open(source, os.O_WRONLY)
        try:
            _write(descriptor, carried, 0)
            source.rename(self._path(number))
        except OSError:
            os.close(descriptor)
            source.unlink(missing_ok=True)
            raise
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = descriptor
        self._segment, self._offset = number, len(carried)

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:08}.journal"


def _write(descriptor: int, text: bytes, offset: int) -> None:
    written = os.pwrite(descriptor, text, offset)
    if written != len(text):
        raise OSError(f"only {written} of {len(text)} bytes could be written")


def _allocate(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:
            _zero(descriptor, size)
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(descriptor)


def _blank(path: Path, size: int) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, size)
        _zero(descriptor, size)
    finally:
        os.close(descriptor)


def _zero(descriptor: int, size: int) -> None:
    for offset in range(0, size, len(_ZEROS)):
        _write(descriptor, _ZEROS[: size - offset], offset)
