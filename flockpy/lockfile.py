"""One process per role and data directory: a lock that the system frees when its holder dies."""

import errno
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from flockpy.errors import StartError


@dataclass(frozen=True, slots=True)
class Held:
    """Another process has the lock; `pid` is its id, None when it had not written it yet."""

    pid: int | None


class Lock:
    """A lock this process holds until `release` (or its end)."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


def acquire(path: Path) -> Lock | Held:
    """Take the lock at `path` without waiting, and write this process's id in it.

    The file is made (0600) if it is not there. Raises OSError when it cannot be.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _try(descriptor, fcntl.LOCK_EX):
            if not _try(descriptor, fcntl.LOCK_SH):  # an exclusive holder, not just a `holder` that looks
                held = Held(_pid(descriptor))
                os.close(descriptor)
                return held
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(descriptor)
        raise
    return Lock(path, descriptor)


def hold(path: Path, who: str) -> Lock:
    """`acquire` the lock of a data directory for `who` ("an agent"), which cannot run without it.

    Raises StartError when another one holds it, or when it cannot be written.
    """
    try:
        lock = acquire(path)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from None
    if isinstance(lock, Held):
        raise StartError(
            f"{who} already runs on this data: process {lock.pid} holds {path}", hint="flockpy status"
        )
    return lock


def holder(path: Path) -> Held | None:
    """Who holds the lock at `path`; None when nobody does. A leftover file alone means nothing."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        return None if _try(descriptor, fcntl.LOCK_SH) else Held(_pid(descriptor))
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise
    return True


def _pid(descriptor: int) -> int | None:
    text = os.pread(descriptor, 32, 0).strip()
    return int(text) if text.isdigit() else None
