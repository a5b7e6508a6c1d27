"""How much memory a model takes in an engine of the llama.cpp family; sizes in bytes. Pure."""

from flockpy.placement import EngineOptions

_CACHE_BLOCKS = {  # cache type: (elements, bytes) of one block
    "f32": (1, 4), "f16": (1, 2), "bf16": (1, 2), "q8_0": (32, 34), "q5_1": (32, 24), "q5_0": (32, 22),
    "q4_1": (32, 20), "q4_0": (32, 18), "iq4_nl": (32, 18),
}  # fmt: skip
CACHE_TYPES = tuple(_CACHE_BLOCKS)
SMALLEST_CONTEXT = 4096
"""Memory never caps a context below this: a model that does not even fit so is refused by the engine."""
_PROCESS = 48 * 2**20


def block_elements(cache_type: str) -> int:
    """Elements that a cache of this type packs together; a head's width must be a multiple of it."""
    return _CACHE_BLOCKS[cache_type][0]


def fixed(size_bytes: int) -> int:
    """What does not depend on the context: the process, the weights, and the buffers to compute with."""
    return _PROCESS + size_bytes + size_bytes // 12


def per_token(cache_elements: int, cache_type: str) -> float:
    """One token of context in the key and value cache."""
    elements, size = _CACHE_BLOCKS[cache_type]
    return cache_elements * size / elements


def estimate(size_bytes: int, cache_elements: int, options: EngineOptions) -> int:
    """All of it, with `options` as settled (context in tokens per slot, an existing cache type)."""
    cache = per_token(cache_elements, options.kv_cache) * options.context * options.slots
    return fixed(size_bytes) + int(cache)


def context_that_fits(size_bytes: int, cache_elements: int, options: EngineOptions, memory_bytes: int) -> int:
    """Tokens per slot, at most `options.context`, that `memory_bytes` hold; when cut, a multiple of 256."""
    each = per_token(cache_elements, options.kv_cache) * options.slots
    room = memory_bytes - fixed(size_bytes)
    if each == 0 or each * options.context <= room:
        return options.context
    fitting = int(room / each) // 256 * 256
    return min(options.context, max(SMALLEST_CONTEXT, fitting))
