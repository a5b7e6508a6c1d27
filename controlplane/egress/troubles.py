"""What keeps vendors from answering anybody: a key they do not accept, credentials that are missing, no way there."""

import logging
from dataclasses import dataclass

from controlplane.egress.verdict import OWNER
from flockpy.clock import Clock
from flockpy.errors import EngineUnreachable, FlockError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """`mend`: the command or value that puts it right, "" when none is known. `at`: seconds since the epoch."""

    message: str
    mend: str
    at: float


class Troubles:
    """The latest of each vendor, for `doctor`; a vendor that has answered since has none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._latest: dict[str, Trouble] = {}

    def of(self, vendor: str) -> Trouble | None:
        return self._latest.get(vendor)

    def note(self, vendor: str, error: FlockError, said: str) -> None:
        """A request to a vendor failed; `said` may tell more of why than its client is told. Only what others would
        meet too is kept, and it is logged when it is new."""
        if not isinstance(error, EngineUnreachable):
            return
        before = self._latest.get(vendor)
        mend = (error.hint or "").removeprefix(OWNER) if said == error.message else ""
        self._latest[vendor] = Trouble(said, mend, self._clock.wall())
        if before is None or before.message != said:
            log.warning("%s: %s%s", vendor, said, f" ({mend})" if mend else "")

    def answered(self, vendor: str) -> None:
        self._latest.pop(vendor, None)
