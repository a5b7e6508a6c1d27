"""Whether a model fits into a node's memory; sizes in bytes. Pure."""

from collections.abc import Iterable

from controlplane.cluster.state import InstalledModel
from flockpy.config import EngineDefaults
from flockpy.engines import memory
from flockpy.node import Hardware
from flockpy.placement import EngineOptions, ModelSpec

_OWN_MEMORY = ("cuda", "rocm")
"""Devices with memory beside the machine's; the others share it."""


def options(defaults: EngineDefaults) -> EngineOptions:
    """What a placement is asked to run with."""
    return EngineOptions(
        context=defaults.context,
        slots=defaults.slots,
        flash_attention=defaults.flash_attention,
        kv_cache=defaults.kv_cache,
        gpu_layers=defaults.gpu_layers,
    )


def model_spec(model: InstalledModel) -> ModelSpec:
    """What a placement is told of the model it is to run."""
    return ModelSpec(
        model.id,
        model.path,
        model.size_bytes,
        model.context_window,
        model.capabilities,
        "safetensors" if model.details.get("format") == "safetensors" else "gguf",
    )


def need(model: InstalledModel, defaults: EngineDefaults) -> int:
    """The least it takes: an engine shortens the context to what memory allows, but not below a floor."""
    asked = min(defaults.context, model.context_window or defaults.context, memory.SMALLEST_CONTEXT)
    kind = defaults.kv_cache if defaults.kv_cache in memory.CACHE_TYPES else "f16"
    cache = model.details.get("cache_elements", 0)
    shortest = EngineOptions(context=asked, slots=defaults.slots, kv_cache=kind)
    return memory.estimate(model.size_bytes, cache if isinstance(cache, int) else 0, shortest)


def capacity(hardware: Hardware) -> int:
    """All memory a node can hold models in."""
    return hardware.memory_bytes + sum(d.memory_bytes for d in hardware.devices if d.kind in _OWN_MEMORY)


def refusal(model_id: str, needed: int, total: int, others: Iterable[tuple[str, int]] = ()) -> str | None:
    """Why `needed` does not fit into `total` beside `others` (their ids and sizes), with the numbers; or None."""
    beside = tuple(others)
    taken = sum(size for _, size in beside)
    if needed <= total - taken:
        return None
    text = f"{model_id} needs at least {_gib(needed)} of memory, and the node has {_gib(total)}"
    if taken:
        text += f", of which {', '.join(id for id, _ in beside)} may take {_gib(taken)}"
    return text


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.0f} MiB"
