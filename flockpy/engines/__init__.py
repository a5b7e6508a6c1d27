"""The engines flockpy can run or adopt: the registries. An engine is one file here and one line in each that it is for.
Pure."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from flockpy.engines.adoption import Adopter
from flockpy.engines.base import EngineDriver, Quirks
from flockpy.engines.embedded import EmbeddedDriver
from flockpy.engines.fake import FakeDriver
from flockpy.engines.llamacpp import LlamaCppAdopter, LlamaCppDriver
from flockpy.engines.mlx import MlxAdopter, MlxDriver
from flockpy.engines.ollama import OllamaAdopter
from flockpy.engines.openai_compatible import OpenAiCompatibleAdopter
from flockpy.engines.vllm import VllmAdopter

_STARTED: tuple[EngineDriver, ...] = (
    LlamaCppDriver(),
    EmbeddedDriver(),
    MlxDriver(),
    FakeDriver(),
)
_ADOPTED: tuple[Callable[[], Adopter], ...] = (
    LlamaCppAdopter,
    OllamaAdopter,
    VllmAdopter,
    MlxAdopter,
    OpenAiCompatibleAdopter,
)

DRIVERS: Mapping[str, EngineDriver] = MappingProxyType({driver.name: driver for driver in _STARTED})
"""Engines that an agent starts, by name, in the order in which it tries them when it may choose."""
ADOPTERS: Mapping[str, Callable[[], Adopter]] = MappingProxyType({kind().name: kind for kind in _ADOPTED})
"""Engines that may run already, by name; an adopter of its own for each one that runs."""

_QUIRKS = {name: kind().quirks for name, kind in ADOPTERS.items()} | {
    name: driver.quirks for name, driver in DRIVERS.items()
}
_FAULTLESS = Quirks()


def quirks(engine: str) -> Quirks:
    """The habits of the engine of that name; those of a faultless one when the name is unknown."""
    return _QUIRKS.get(engine, _FAULTLESS)


def start_command(engine: str) -> str:
    """How the user of an adopted engine starts it again; "" for one that the agent starts."""
    return ADOPTERS[engine]().start_command if engine in ADOPTERS else ""
