"""When an engine counts as hung: it does not answer, and its process does nothing either. Pure.

A long prompt keeps an engine from answering for minutes while it computes; one that computes is never called hung.
Answers alone are not asked for either: a machine that slept, or is short of CPU, loses a few of them. So it takes
`MISSED` questions without an answer, over `silence_s`, in which the process used less than `IDLE_CPU_S` of CPU.
"""

from dataclasses import dataclass

SERVING_SILENCE_S = 15.0
LOADING_SILENCE_S = 60.0
"""Weights may come from a slow disk."""
MISSED = 3
IDLE_CPU_S = 0.05


@dataclass(frozen=True, slots=True)
class Quiet:
    """The silence so far: when its first question was asked, the CPU seconds used by then, how many were."""

    since: float
    cpu_s: float
    missed: int = 0


def missed(quiet: Quiet | None, asked: float, cpu_s: float) -> Quiet:
    """The silence with one more unanswered question, asked at `asked` when the process had used `cpu_s`.

    Work done by the process begins it anew.
    """
    if quiet is None or cpu_s - quiet.cpu_s >= IDLE_CPU_S:
        return Quiet(asked, cpu_s, 1)
    return Quiet(quiet.since, quiet.cpu_s, quiet.missed + 1)


def patience_s(*, loading: bool) -> float:
    """How long the silence may last."""
    return LOADING_SILENCE_S if loading else SERVING_SILENCE_S


def hung(quiet: Quiet, silence_s: float, now: float, cpu_s: float) -> bool:
    """Whether that is enough, when the process has used `cpu_s` by `now`."""
    idle = cpu_s - quiet.cpu_s < IDLE_CPU_S
    return idle and quiet.missed >= MISSED and now - quiet.since >= silence_s
