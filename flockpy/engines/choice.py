"""Which engine of a machine runs a model. Pure."""

from collections.abc import Iterable, Mapping

from flockpy.engines.base import EngineDriver
from flockpy.node import EngineInfo
from flockpy.placement import ModelSpec


def choose_driver(
    engine: str,
    model: ModelSpec,
    preferred: str,
    drivers: Iterable[EngineDriver],
    infos: Mapping[str, EngineInfo],
) -> EngineDriver | str:
    """The driver to run a model with on a machine, or why there is none. `infos`: what the machine has.

    The `engine` that its placement names, or else `preferred` (if it can serve the model), or else the first.
    """
    refusals: list[str] = []
    order = sorted(drivers, key=lambda driver: driver.name != (engine or preferred))
    for driver in order:
        if engine and driver.name != engine:
            continue
        info = infos.get(driver.name)
        refusal = driver.refusal(model)
        if info is None or not info.available:
            refusal = info.reason if info else "not known on this machine"
        if not refusal:
            return driver
        refusals.append(f"{driver.name}: {refusal}")
    if not refusals:
        return f"this machine has no engine called {engine!r}"
    return "no engine of this machine can serve it (" + "; ".join(refusals) + ")"
