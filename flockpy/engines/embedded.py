"""The engine that comes along: xllamacpp, llama.cpp as a Python package, in one process per model. Pure."""

import msgspec

from flockpy.engines import llama
from flockpy.engines.base import Launch, Listen, Machine
from flockpy.modelfile import ModelMetadata, Pooling
from flockpy.node import EngineInfo
from flockpy.placement import PlacementSpec

HOST_ENV = "FLOCK_ENGINE_HOST"
"""The environment variable that carries `HostSettings` as JSON: unlike argv, other users cannot read it."""


class HostSettings(msgspec.Struct, frozen=True):
    """What the child process (`embedded_host`) is told."""

    path: str
    alias: str
    port: int
    key: str
    context: int
    """Tokens per slot."""
    slots: int
    threads: int
    kv_cache: str
    flash_attention: bool
    gpu_layers: int
    prompt_cache_mib: int = llama.PROMPT_CACHE_MIB
    batch: int | None = None
    """Tokens read at a time; None leaves it to the engine."""
    pooling: Pooling | None = None
    """Set for a model that embeds or ranks; None for one that generates."""


class EmbeddedDriver(llama.Family):
    """xllamacpp in a process of our own making."""

    name = "embedded"

    def availability(self, machine: Machine) -> EngineInfo:
        version = machine.versions.get("xllamacpp", "")
        if not version:
            return EngineInfo(self.name, False, reason="xllamacpp is not installed: pip install xllamacpp")
        # Its x86 build has one code path and dies of SIGILL on a CPU without AVX2; Linux tells us the flags.
        if machine.arch in ("x86_64", "AMD64") and machine.cpu_flags and "avx2" not in machine.cpu_flags:
            reason = (
                "this CPU has no AVX2, which xllamacpp needs: install llama.cpp and put llama-server on PATH"
            )
            return EngineInfo(self.name, False, version, reason)
        return EngineInfo(self.name, True, version)

    def command(
        self, spec: PlacementSpec, meta: ModelMetadata | None, listen: Listen, machine: Machine
    ) -> Launch:
        settings = HostSettings(
            path=spec.model.path,
            alias=spec.model.id,
            port=listen.port,
            key=listen.key,
            context=spec.options.context,
            slots=spec.options.slots,
            # One thread too many is far worse than one too few: its OpenMP threads wait by spinning.
            threads=max(1, machine.physical_cores - 1),
            kv_cache=spec.options.kv_cache,
            flash_attention=spec.options.flash_attention,
            gpu_layers=spec.options.gpu_layers,
            batch=llama.batch(spec.model, meta, spec.options, machine),
            pooling=llama.pooling(spec.model, meta),
        )
        return Launch(
            argv=(machine.python, "-P", "-m", "flockpy.engines.embedded_host", spec.model.id),
            env={**llama.ENVIRONMENT, HOST_ENV: msgspec.json.encode(settings).decode()},
        )
