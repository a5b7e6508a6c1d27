"""Writing a client's settings into its files, and taking them out again.

Before anything is written, everything is worked out; a file that cannot be read stops it all. What was done is kept in
a receipt, so that it can be taken back exactly: to the byte where nobody touched the file since, and else without
what others wrote since being lost.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from flockpy.clients.documents import Document, Unreadable, open_document
from flockpy.clients.entry import Format
from flockpy.clients.merge import Merged, merge, undo
from flockpy.clients.render import Settings
from flockpy.errors import StartError
from flockpy.security import private_dir, write_private

BACKUP = ".before-flockpy"


class FileReceipt(msgspec.Struct, frozen=True):
    """What was done to one file: `existed` before, with `mode`; `written` and `before` are hashes of its bytes.

    `folders` were made for it.
    """

    path: str
    format: Format
    merged: Merged
    existed: bool
    mode: int
    written: str
    before: str
    folders: tuple[str, ...]


class Receipt(msgspec.Struct, frozen=True):
    files: tuple[FileReceipt, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file. `kept` names what others changed since, and was left."""

    path: Path
    did: Literal["written", "unchanged", "restored", "removed", "cleaned", "gone"]
    kept: tuple[str, ...] = ()


class ConnectedFiles:
    """The files of one client. `receipt` is where what was done is kept."""

    def __init__(self, receipt: Path) -> None:
        self._receipt = receipt

    @property
    def connected(self) -> bool:
        return self._receipt.exists()

    def connect(self, settings: Sequence[Settings]) -> list[Outcome]:
        """Put `settings` into their files. Doing it twice changes nothing. Raises StartError, changing nothing."""
        earlier = {receipt.path: receipt for receipt in self._load()}
        planned = [_plan(one, earlier) for one in settings]
        planned_paths = {str(plan.path) for plan in planned}
        left = [receipt for path, receipt in earlier.items() if path not in planned_paths]
        undone = [_plan_undo(receipt) for receipt in left]
        # The receipt first: what it promises and was not done is found undone, what it does not tell of would stay.
        receipts = tuple(receipt for plan in planned if (receipt := plan.receipt()))
        try:
            if receipts:
                private_dir(self._receipt.parent)
                write_private(self._receipt, msgspec.json.encode(Receipt(receipts)).decode() + "\n")
            return [plan.carry_out() for plan in (*planned, *undone)]
        except OSError as error:
            raise StartError(f"{error.filename} cannot be written: {error.strerror}") from None

    def disconnect(self) -> list[Outcome]:
        """Take everything back. Raises StartError, changing nothing."""
        planned = [_plan_undo(receipt) for receipt in self._load()]
        try:
            outcomes = [plan.carry_out() for plan in planned]
            _remove_empty({folder for plan in planned for folder in plan.receipt.folders})
            self._receipt.unlink(missing_ok=True)
        except OSError as error:
            raise StartError(f"{error.filename} cannot be written: {error.strerror}") from None
        return outcomes

    def _load(self) -> tuple[FileReceipt, ...]:
        try:
            return msgspec.json.decode(self._receipt.read_bytes(), type=Receipt).files
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError) as error:
            raise StartError(
                f"{self._receipt}, which says what was changed, cannot be read: {error}",
                hint="move it away; what it speaks of then stays as it is",
            ) from None


@dataclass(frozen=True, slots=True)
class _Plan:
    """A file as it will be. `base` is its text without us, None where there is no such file."""

    path: Path
    format: Format
    base: str | None
    text: str
    merged: Merged
    earlier: FileReceipt | None
    unchanged: bool

    def receipt(self) -> FileReceipt | None:
        """What is to be kept of it; None for a file that was as it should be before we came."""
        earlier = self.earlier
        if self.unchanged:
            return earlier
        folders = [str(parent) for parent in self.path.parents if not parent.exists()]
        mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o600
        return FileReceipt(
            path=str(self.path),
            format=self.format,
            merged=self.merged,
            existed=self.base is not None,
            mode=earlier.mode if earlier else mode,
            written=_hash(self.text),
            before=_hash(self.base or ""),
            folders=(*(earlier.folders if earlier else ()), *folders),
        )

    def carry_out(self) -> Outcome:
        if self.unchanged:
            return Outcome(self.path, "unchanged")
        private_dir(self.path.parent)
        if self.base is not None:
            write_private(_backup(self.path), self.base)
        write_private(self.path, self.text)
        return Outcome(self.path, "written")


@dataclass(frozen=True, slots=True)
class _Undo:
    """A file as it will be again; a `text` of None takes it away."""

    receipt: FileReceipt
    text: str | None
    did: Literal["restored", "removed", "cleaned", "gone"]
    kept: tuple[str, ...] = ()

    def carry_out(self) -> Outcome:
        path = Path(self.receipt.path)
        if self.text is not None:
            write_private(path, self.text)
            path.chmod(self.receipt.mode)
        elif self.did != "gone":
            path.unlink()
        _backup(path).unlink(missing_ok=True)
        return Outcome(path, self.did, self.kept)


def _plan(one: Settings, receipts: dict[str, FileReceipt]) -> _Plan:
    names = [Path(name) for name in (*one.instead, one.path)]
    path = Path(
        os.path.realpath(next((name for name in names if name.exists()), names[-1]))
    )  # a link stays a link
    now = _read(path)
    earlier = receipts.get(str(path))
    base = now if earlier is None or now is None else _without(now, earlier)[0]
    document = _open(path, one.format, "" if one.own else base or "")
    merged = merge(document, one.changes, one.defaults)
    text = document.text()
    same = now is not None and (text == now or _open(path, one.format, now).get(()) == document.get(()))
    return _Plan(path, one.format, base, text, merged, earlier, unchanged=same)


def _plan_undo(receipt: FileReceipt) -> _Undo:
    path = Path(receipt.path)
    now = _read(path)
    if now is None:
        return _Undo(receipt, None, "gone")
    text, kept = _without(now, receipt)
    if text is None:
        return _Undo(receipt, None, "removed")
    return _Undo(receipt, text, "restored" if _hash(text) == receipt.before else "cleaned", kept)


def _without(now: str, receipt: FileReceipt) -> tuple[str | None, tuple[str, ...]]:
    """The text of a file without what we put there (None: it is not needed any more), and what was left."""
    path = Path(receipt.path)
    if _hash(now) == receipt.written:
        before = _read(_backup(path)) if receipt.existed else None
        if not receipt.existed or (before is not None and _hash(before) == receipt.before):
            return before, ()
    document = _open(path, receipt.format, now)
    kept = undo(document, receipt.merged)
    if not receipt.existed and document.get(()) == {}:
        return None, ()
    return document.text(), tuple(".".join(s if isinstance(s, str) else s.name for s in at) for at in kept)


def _open(path: Path, format: Format, text: str) -> Document:
    try:
        return open_document(format, text)
    except Unreadable as error:
        where = f"{path}:{error.line}" if error.line else str(path)
        raise StartError(
            f"{where}: the file is no {format.upper()} that can be read ({error.what}); nothing was changed",
            hint="mend it, or see what belongs into it: flockpy connect CLIENT",
        ) from None


def _read(path: Path) -> str | None:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise StartError(f"{path}: the file is not UTF-8 text; nothing was changed") from None
    except OSError as error:
        raise StartError(f"{path}: the file cannot be read: {error.strerror}; nothing was changed") from None


def _remove_empty(folders: set[str]) -> None:
    for folder in sorted(map(Path, folders), key=lambda path: len(path.parts), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _backup(path: Path) -> Path:
    return path.with_name(path.name + BACKUP)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
