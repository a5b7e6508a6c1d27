"""The log file of an engine: only for its owner, bounded in size, and never a reason to fail."""

import logging
import os
import re
from pathlib import Path

from flockpy.security import private_dir

MAX_BYTES = 8 * 2**20
TAIL_BYTES = 16 * 1024
_REASON_CHARACTERS = 500
_STAMP = re.compile(r"^\d+\.\d\d\.\d{3}\.\d{3} (?=[A-Z] )")
_COMPLAINT = re.compile(r"^E |error|assert|abort|fatal|exception|fail", re.IGNORECASE)

log = logging.getLogger(__name__)


def open_for_append(path: Path) -> int:
    """A descriptor to write to; a file that cannot be written (a full disk) is replaced by nothing at all."""
    try:
        private_dir(path.parent)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError as error:
        log.warning("the engine log %s cannot be written: %s", path, error.strerror)
        return os.open(os.devnull, os.O_WRONLY)


def bound(path: Path) -> None:
    """Once it has grown beyond `MAX_BYTES`, keep the end in ``<path>.1`` and begin it anew, in place.

    The engine goes on writing at the end of the same file, wherever that is.
    """
    try:
        if path.stat().st_size <= MAX_BYTES:
            return
        kept = os.open(path.with_name(path.name + ".1"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(kept, "wb") as file:
            file.write(_end(path, MAX_BYTES))
        os.truncate(path, 0)
    except FileNotFoundError:
        return
    except OSError as error:
        log.warning("the engine log %s cannot be cut: %s", path, error.strerror)


def prepare(path: Path) -> int:
    """Bound it, and tell its size in bytes."""
    bound(path)
    return size(path)


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def last_words(path: Path, since: int, secret: str, *, loading: bool) -> str:
    """Why an engine ended, from the end of what it wrote after byte `since`: one line without `secret`, or "".

    Complaints count more than other lines. The first one is the cause when it was `loading`; later the tail may
    hold complaints of old requests, and only the last ones say something.
    """
    try:
        text = _end(path, min(TAIL_BYTES, max(0, size(path) - since))).decode("utf-8", "replace")
    except OSError:
        return ""
    lines = [_STAMP.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if _COMPLAINT.search(line)] or lines
    telling = [*telling[:1], *telling[1:][-1:]] if loading else telling[-3:]
    said = " | ".join(line.removeprefix("E ").strip() for line in telling).replace(secret or "\0", "…")
    return "".join(c if c.isprintable() else " " for c in said)[:_REASON_CHARACTERS]


def _end(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - count))
        return file.read(count)
