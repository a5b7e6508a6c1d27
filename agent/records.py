"""What the agent writes down about each engine it starts, so that a later agent finds it again.

One file (0600) for each placement, written before the process exists. A crash at any moment therefore leaves either
a record without a process, or a process whose `launch` mark leads to its record.
"""

import logging
from pathlib import Path
from urllib.parse import quote

import msgspec

from flockpy.paths import DataDir
from flockpy.placement import PlacementSpec
from flockpy.security import private_dir, write_private

log = logging.getLogger(__name__)


class Record(msgspec.Struct, frozen=True):
    """One start of an engine. `launch` is its process's mark, `key` the engine's, `port` where it listens."""

    launch: str
    spec: PlacementSpec
    engine: str
    port: int
    key: str

    def __repr__(self) -> str:
        return f"Record({self.spec.id!r}, {self.launch!r})"


class Records:
    """The files. Writing may fail (a full disk): then it is logged, and the engine is a stray to the next agent."""

    def __init__(self, data: DataDir) -> None:
        self._directory = data.instances

    def save(self, record: Record) -> None:
        try:
            private_dir(self._directory)
            write_private(self._path(record.spec.id), msgspec.json.encode(record).decode())
        except OSError as error:
            log.warning("the record of %s cannot be written: %s", record.spec.id, error.strerror)

    def remove(self, placement_id: str) -> None:
        try:
            self._path(placement_id).unlink(missing_ok=True)
        except OSError as error:
            log.warning("the record of %s cannot be removed: %s", placement_id, error.strerror)

    def load(self) -> list[Record]:
        """All of them; what cannot be read is removed."""
        records: list[Record] = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                records.append(msgspec.json.decode(path.read_bytes(), type=Record))
            except (OSError, msgspec.DecodeError) as error:
                log.warning("%s is not a record of an engine and is removed: %s", path, error)
                path.unlink(missing_ok=True)
        return records

    def _path(self, placement_id: str) -> Path:
        return self._directory / f"{quote(placement_id, safe='')}.json"
