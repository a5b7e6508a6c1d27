"""The child process around xllamacpp: ``python -m flockpy.engines.embedded_host ID`` (the id is for ``ps``).

It reads its settings from the environment, answers HTTP on loopback, and exits 0 on SIGTERM or SIGINT; what
stops it from loading goes to stderr and makes it exit 1. A native abort ends only this process.
"""

import importlib
import os
import signal
import sys
from typing import Any

import msgspec

from flockpy.engines.embedded import HOST_ENV, HostSettings


def serve(settings: HostSettings) -> None:
    """Load the model, serve it until a signal. Raises RuntimeError when it cannot be loaded."""
    x: Any = importlib.import_module("xllamacpp")  # it has no types

    params = x.CommonParams()
    params.model.path = settings.path
    params.model_alias = {settings.alias}
    params.hostnames = ["127.0.0.1"]
    params.port = settings.port
    params.api_keys = [settings.key]
    params.cors_origins = ""
    params.cors_origins_explicit = True
    params.cors_credentials = False
    params.ui = False
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.use_jinja = True
    params.n_parallel = settings.slots
    params.n_ctx = settings.context * settings.slots
    params.cpuparams.n_threads = settings.threads
    params.cpuparams_batch.n_threads = settings.threads
    params.n_gpu_layers = settings.gpu_layers
    params.cache_ram_mib = settings.prompt_cache_mib
    cache_type = getattr(x.ggml_type, f"GGML_TYPE_{settings.kv_cache.upper()}")
    params.cache_type_k = params.cache_type_v = cache_type
    attention = x.llama_flash_attn_type
    params.flash_attn_type = (
        attention.LLAMA_FLASH_ATTN_TYPE_ENABLED
        if settings.flash_attention
        else attention.LLAMA_FLASH_ATTN_TYPE_DISABLED
    )
    if settings.batch is not None:
        params.n_batch = params.n_ubatch = settings.batch
    if settings.pooling is not None:
        params.embedding = True
        params.pooling_type = getattr(x.llama_pooling_type, f"LLAMA_POOLING_TYPE_{settings.pooling.upper()}")
    server = x.Server(params)
    # Only now: a handler would not run while the constructor loads, and SIGTERM's default ends that at once.
    # By a pipe: a signal may reach any of the engine's threads, and only a written byte is sure to wake this one.
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: None)
    os.read(woken, 1)
    del server  # closes the listener and joins its threads


def main() -> int:
    text = os.environ.pop(HOST_ENV, "")
    if not text:
        sys.stderr.write(f"error: {HOST_ENV} is not set; the flockpy agent starts this program\n")
        return 2
    try:
        serve(msgspec.json.decode(text, type=HostSettings))
    except (RuntimeError, msgspec.DecodeError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
