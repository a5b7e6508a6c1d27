"""Time as an argument. Waiting goes through the event loop, so a simulation replaces the loop's time too."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the program may know about time."""

    def wall(self) -> float:
        """Seconds since the epoch, UTC; for records people read, never for durations."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; for every duration and deadline."""
        ...


class SystemClock:
    """The machine's clocks, called without a detour: each request asks them five times."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
