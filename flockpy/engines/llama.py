"""What every server of the llama.cpp family has in common: its habits, its answers, its limits. Pure."""

import re
from pathlib import PurePath

import msgspec

from flockpy.engines import memory
from flockpy.engines.base import Answering, Load, Loading, Machine, Quirks, Readiness, Wrong
from flockpy.modelfile import ModelMetadata, Pooling
from flockpy.placement import EngineOptions, ModelSpec

# Measured on builds 11549 and 11669: a streamed answer promises keep-alive and the socket is closed all the
# same; a tool_choice object only earns a warning in the log; /v1/completions answers with chatcmpl- ids; the
# model named in a request is not looked at; whoever waits for a whole answer, or for the first token of a stream, is
# looked after once a second of the engine's silence, which never comes while it serves somebody else.
QUIRKS = Quirks(
    ignores_named_tool_choice=True,
    chat_ids_everywhere=True,
    hears_leaving_by_writing=True,
    counts_tokens_at="/v1/chat/completions/input_tokens",
    checks_model_name=False,
)
HEALTH_PATH, READY_PATH, LOAD_PATH = "/health", "/props", "/metrics"
PROMPT_CACHE_MIB = 1024
"""Main memory for the prompts of idle slots; the default of 8 GiB for each engine is too much to share."""
ENVIRONMENT = {"GGML_NO_BACKTRACE": "1"}
"""Without it an engine that aborts spends up to a second in a debugger before it is gone."""

CPU_BATCH = 64
"""Tokens of a prompt read at a time without a GPU. Nothing can stop the engine meanwhile, and no other slot goes on;
more would not be faster (measured from 64 to 2048)."""
EMBEDDING_BATCH = 8192
"""An input to be embedded or ranked must fit one batch, so this also bounds the context of such a model."""

_PROCESSING = re.compile(rb"^llamacpp:requests_processing (\d+)", re.MULTILINE)
_DEFERRED = re.compile(rb"^llamacpp:requests_deferred (\d+)", re.MULTILINE)


class _Generation(msgspec.Struct, frozen=True):
    n_ctx: int


class _Modalities(msgspec.Struct, frozen=True):
    vision: bool = False


class _Props(msgspec.Struct, frozen=True):
    default_generation_settings: _Generation
    total_slots: int
    model_alias: str = ""
    model_path: str = ""
    chat_template: str = ""
    modalities: _Modalities = _Modalities()


def readiness(status: int, body: bytes) -> Readiness:
    """What an answer to `READY_PATH` means; `n_ctx` there is already per slot."""
    if status == 503:
        return Loading()
    if status == 401:
        return Wrong("another server listens on the port: it does not know the engine's key")
    if status != 200:
        return Wrong(f"{READY_PATH} answered with status {status}")
    try:
        props = msgspec.json.decode(body, type=_Props)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Wrong(f"{READY_PATH} answered something else than a llama.cpp server would: {error}")
    return Answering(
        slots=max(1, props.total_slots),
        context_window=props.default_generation_settings.n_ctx,
        model=props.model_alias or PurePath(props.model_path).stem,
        tools="tools" in props.chat_template,
        vision=props.modalities.vision,
    )


def load(body: bytes) -> Load | None:
    """What an answer to `LOAD_PATH` (Prometheus text) says."""
    busy, waiting = _PROCESSING.search(body), _DEFERRED.search(body)
    return Load(int(busy.group(1)), int(waiting.group(1))) if busy and waiting else None


def refusal(model: ModelSpec) -> str:
    return "" if model.path.endswith(".gguf") else f"{model.path} is not a .gguf file"


def pooling(model: ModelSpec, meta: ModelMetadata | None) -> Pooling | None:
    """How a model that embeds or ranks sums up its input; None for one that generates text."""
    if "rerank" in model.capabilities:
        return "rank"
    if "embedding" in model.capabilities:
        return (meta.pooling if meta else None) or "mean"
    return None


def batch(
    model: ModelSpec, meta: ModelMetadata | None, options: EngineOptions, machine: Machine
) -> int | None:
    """Tokens to read at a time; None leaves it to the engine."""
    if pooling(model, meta) is not None:
        return options.context
    return None if machine.accelerated else CPU_BATCH


def settle(
    model: ModelSpec, meta: ModelMetadata | None, options: EngineOptions, memory_bytes: int | None
) -> EngineOptions:
    """Options that the model's shape and the memory allow."""
    kv_cache = options.kv_cache if options.kv_cache in memory.CACHE_TYPES else "f16"
    # The engine refuses to load with a packed cache unless it has flash attention and whole blocks per head.
    packed = memory.block_elements(kv_cache)
    if packed > 1 and (not options.flash_attention or (meta and meta.head_elements % packed)):
        kv_cache = "f16"
    trained = meta.context_length if meta and meta.context_length else model.context_window
    context = min(options.context, trained) if trained > 0 else options.context
    if pooling(model, meta):
        context = min(context, EMBEDDING_BATCH)
    settled = msgspec.structs.replace(
        options, context=context, slots=max(1, options.slots), kv_cache=kv_cache
    )
    if memory_bytes is None or meta is None:
        return settled
    context = memory.context_that_fits(model.size_bytes, meta.cache_elements, settled, memory_bytes)
    return msgspec.structs.replace(settled, context=context)


class Family:
    """What drivers of the family share. Each of them adds its name, its availability and its command."""

    quirks: Quirks = QUIRKS
    health_path = HEALTH_PATH
    ready_path = READY_PATH
    ready_body = b""
    load_path = LOAD_PATH

    def refusal(self, model: ModelSpec) -> str:
        return refusal(model)

    def settle(
        self, model: ModelSpec, meta: ModelMetadata | None, options: EngineOptions, memory_bytes: int | None
    ) -> EngineOptions:
        return settle(model, meta, options, memory_bytes)

    def estimate(self, size_bytes: int, cache_elements: int, options: EngineOptions) -> int:
        return memory.estimate(size_bytes, cache_elements, options)

    def engine_model(self, model_id: str) -> str:
        return model_id

    def health(self, status: int) -> str:
        return ""

    def readiness(self, status: int, body: bytes) -> Readiness:
        return readiness(status, body)

    def load(self, body: bytes) -> Load | None:
        return load(body)
