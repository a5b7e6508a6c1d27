"""From what should be and what is to what to do. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from flockpy.placement import PlacementSpec
from flockpy.wire import DesiredState


@dataclass(frozen=True, slots=True)
class Present:
    """An engine that is here. `leaving`: it has been told to stop."""

    spec: PlacementSpec
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Start:
    spec: PlacementSpec


@dataclass(frozen=True, slots=True)
class Stop:
    placement_id: str
    reason: str


Action = Start | Stop


def plan(desired: DesiredState | None, present: Mapping[str, Present]) -> list[Action]:
    """What to do now; asked again after each change, so a replacement is a stop now and a start later.

    `desired` None: no leader has spoken yet, and what runs goes on.
    """
    if desired is None:
        return []
    wanted = {spec.id: spec for spec in desired.placements}
    actions: list[Action] = []
    for placement_id, here in present.items():
        if here.leaving:
            continue
        if placement_id not in wanted:
            actions.append(Stop(placement_id, "the leader does not want it any more"))
        elif wanted[placement_id] != here.spec:
            actions.append(Stop(placement_id, "its specification has changed"))
    actions += [Start(spec) for placement_id, spec in wanted.items() if placement_id not in present]
    return actions


def supersedes(new: DesiredState, known: DesiredState | None) -> bool:
    """Whether `new` is news: answers may overtake each other, and one leader's generations only grow."""
    return known is None or new.epoch != known.epoch or new.generation > known.generation
