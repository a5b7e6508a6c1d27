"""The life of one engine, as a state machine: what happened goes in, what to do comes out. Pure.

    begin ──▶ Starting ──Answered──▶ Serving
                 │  ▲                   │
           Ended │  │ Due         Ended │          Starting, Serving ──Hung──▶ Stopping(then Waiting) ──Ended──▶
                 ▼  │                   ▼
               Waiting ◀────────────────┘          any ──Halt──▶ Stopping(then Gone) ──Ended──▶ Gone
                 │ budget spent, or no use in trying again
                 ▼
               Broken

Invariants. A process exists exactly in Starting, Serving and Stopping. `START` is only ever asked for when none
exists, `STOP` once per process. Each failure costs one of the restart budget (`RESTART_DELAYS_S`); an engine that
served for `HEALTHY_S` has earned the whole budget back. Times are seconds of one monotonic clock.
"""

from dataclasses import dataclass
from typing import Literal

from flockpy import placement

RESTART_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
HEALTHY_S = 120.0


@dataclass(frozen=True, slots=True)
class Starting:
    """The process runs and does not answer yet. `failures`: how often it failed before, in a row."""

    failures: int = 0


@dataclass(frozen=True, slots=True)
class Serving:
    """It answers since `since`: `slots` requests at once, `context_window` tokens for each."""

    failures: int
    since: float
    slots: int
    context_window: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """It failed; it is started again at `until`."""

    failures: int
    reason: str
    until: float


@dataclass(frozen=True, slots=True)
class Broken:
    """It failed for good; only a new placement tries again."""

    failures: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """Stopped on purpose, nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Stopping:
    """The process was told to end; `then` is what comes when it has."""

    then: Waiting | Broken | Gone


State = Starting | Serving | Waiting | Broken | Stopping | Gone


@dataclass(frozen=True, slots=True)
class Answered:
    slots: int
    context_window: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is gone, or could not be started. `hopeless`: another try cannot do better."""

    reason: str
    hopeless: bool = False


@dataclass(frozen=True, slots=True)
class Hung:
    """The process is there and of no use."""

    reason: str


@dataclass(frozen=True, slots=True)
class Due:
    """The wait may be over."""


@dataclass(frozen=True, slots=True)
class Halt:
    """It is not wanted any more."""


Event = Answered | Ended | Hung | Due | Halt
Effect = Literal["start", "stop"]


def step(state: State, event: Event, now: float) -> tuple[State, Effect | None]:
    """The state after `event`, and what to do. An event that means nothing in a state changes nothing."""
    match state, event:
        case Starting(failures), Answered(slots, context_window):
            return Serving(failures, now, slots, context_window), None
        case ((Starting() | Serving()), Ended(reason, hopeless)):
            return _failed(state, reason, hopeless, now), None
        case ((Starting() | Serving()), Hung(reason)):
            return Stopping(_failed(state, reason, False, now)), "stop"
        case ((Starting() | Serving()), Halt()):
            return Stopping(Gone()), "stop"
        case Stopping(), Halt():
            return Stopping(Gone()), None
        case Stopping(then), Ended():
            return then, None
        case Waiting(failures, _, until), Due() if now >= until:
            return Starting(failures), "start"
        case ((Waiting() | Broken()), Halt()):
            return Gone(), None
        case _:
            return state, None


def _failed(state: Starting | Serving, reason: str, hopeless: bool, now: float) -> Waiting | Broken:
    healthy = isinstance(state, Serving) and now - state.since >= HEALTHY_S
    failures = 1 if healthy else state.failures + 1
    if hopeless or failures > len(RESTART_DELAYS_S):
        return Broken(failures, reason)
    return Waiting(failures, reason, now + RESTART_DELAYS_S[failures - 1])


def status(state: State, endpoint: placement.Endpoint, now: float) -> placement.Status:
    """What the leader is told; `endpoint` matters while it serves."""
    match state:
        case Starting(failures):
            return placement.Starting(failures + 1)
        case Serving():
            return placement.Ready(endpoint, state.slots, state.context_window)
        case Waiting(failures, reason, until):
            return placement.Failed(reason, failures, max(0.0, round(until - now, 3)))
        case Broken(failures, reason):
            return placement.Failed(reason, failures)
        case Stopping(Gone()):
            return placement.Draining()
        case Stopping(then):
            return status(then, endpoint, now)
        case Gone():
            return placement.Stopped()
