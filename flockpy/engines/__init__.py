"""The engines flockpy can run: the registry. An engine is one file here and one line in `_ALL`. Pure."""

from collections.abc import Mapping
from types import MappingProxyType

from flockpy.engines.base import EngineDriver, Quirks
from flockpy.engines.embedded import EmbeddedDriver
from flockpy.engines.fake import FakeDriver
from flockpy.engines.llamacpp import LlamaCppDriver

_ALL: tuple[EngineDriver, ...] = (
    LlamaCppDriver(),
    EmbeddedDriver(),
    FakeDriver(),
)

DRIVERS: Mapping[str, EngineDriver] = MappingProxyType({driver.name: driver for driver in _ALL})
"""By name, in the order in which an agent that may choose tries them."""


def quirks(engine: str) -> Quirks:
    """The habits of the engine of that name; those of a faultless one when the name is unknown."""
    driver = DRIVERS.get(engine)
    return driver.quirks if driver else Quirks()
