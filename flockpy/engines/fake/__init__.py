"""A programmable engine for tests of what stands above engines. It serves only ``*.fake.json``, its scripts.

The driver; the child process runs `server`. Pure.
"""

from flockpy.engines import llama
from flockpy.engines.base import Launch, Listen, Machine
from flockpy.modelfile import ModelMetadata
from flockpy.node import EngineInfo
from flockpy.placement import EngineOptions, ModelSpec, PlacementSpec

KEY_ENV = "FLOCK_FAKE_KEY"
SUFFIX = ".fake.json"


class FakeDriver(llama.Family):
    """Starts ``python -m flockpy.engines.fake`` with the model's file as its script."""

    name = "fake"

    def availability(self, machine: Machine) -> EngineInfo:
        return EngineInfo(self.name, True)

    def refusal(self, model: ModelSpec) -> str:
        return (
            "" if model.path.endswith(SUFFIX) else f"{model.path} is no script of a fake engine (*{SUFFIX})"
        )

    def settle(
        self, model: ModelSpec, meta: ModelMetadata | None, options: EngineOptions, memory_bytes: int | None
    ) -> EngineOptions:
        return options

    def command(
        self, spec: PlacementSpec, meta: ModelMetadata | None, listen: Listen, machine: Machine
    ) -> Launch:
        module = (machine.python, "-P", "-m", "flockpy.engines.fake")
        argv = (*module, "--port", str(listen.port), "--alias", spec.model.id, "--script", spec.model.path)
        return Launch(argv, {KEY_ENV: listen.key})

    def estimate(self, size_bytes: int, cache_elements: int, options: EngineOptions) -> int:
        return size_bytes
