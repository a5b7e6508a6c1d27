"""A placement: one model on one node. Its spec is what should be, its status what is. Pure."""

from typing import Literal

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """Where an engine answers. `url`: such as ``http://127.0.0.1:41233``; `key`: its bearer key or ""."""

    url: str
    key: str = ""

    def __repr__(self) -> str:  # a key must not reach a log through a repr
        return f"Endpoint({self.url!r})"


class Pending(msgspec.Struct, frozen=True, tag="pending", tag_field="state"):
    """Accepted, nothing done yet."""


class Fetching(msgspec.Struct, frozen=True, tag="fetching", tag_field="state"):
    """Weights on their way; both figures in bytes."""

    done: int
    total: int


class Starting(msgspec.Struct, frozen=True, tag="starting", tag_field="state"):
    """The engine process runs and does not answer yet (it loads weights)."""

    attempt: int = 1


class Ready(msgspec.Struct, frozen=True, tag="ready", tag_field="state"):
    """The engine answers. `slots`: requests it serves at once; `context_window`: tokens per slot."""

    endpoint: Endpoint
    slots: int
    context_window: int


class Draining(msgspec.Struct, frozen=True, tag="draining", tag_field="state"):
    """No new requests; running ones finish."""


class Stopped(msgspec.Struct, frozen=True, tag="stopped", tag_field="state"):
    """The engine is gone on purpose."""


class Failed(msgspec.Struct, frozen=True, tag="failed", tag_field="state"):
    """The engine could not be started or died. `retry_in_s` is None when the restart budget is spent."""

    reason: str
    attempts: int
    retry_in_s: float | None = None


Status = Pending | Fetching | Starting | Ready | Draining | Stopped | Failed

Format = Literal["gguf", "safetensors"]
"""How weights are kept: one GGUF file (perhaps in parts), or a Hugging Face folder."""
Capability = Literal["chat", "completion", "embedding", "tools", "vision", "rerank", "transcription"]


class ModelSpec(msgspec.Struct, frozen=True):
    """What an agent must know of a model to serve it. `path` is absolute on that node; sizes in bytes."""

    id: str
    path: str
    size_bytes: int
    context_window: int
    capabilities: tuple[Capability, ...] = ("chat", "completion")
    format: Format = "gguf"


class EngineOptions(msgspec.Struct, frozen=True):
    """How to run it. `context` is tokens per slot before capping by the model; `gpu_layers` -1 is all."""

    context: int = 100_000
    slots: int = 2
    flash_attention: bool = True
    kv_cache: str = "q4_0"
    gpu_layers: int = -1


class PlacementSpec(msgspec.Struct, frozen=True):
    """Desired: run `model` with `engine` ("" lets the agent pick the best driver it has)."""

    id: str
    model: ModelSpec
    engine: str = ""
    options: EngineOptions = EngineOptions()
