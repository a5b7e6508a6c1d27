"""What is known of a model from its own file, and what follows from that. Pure.

`flockpy.gguf.read_metadata` reads it, for a Hugging Face folder `flockpy.modelfolder.read_folder`.
"""

from dataclasses import dataclass
from typing import Literal

from flockpy.placement import Capability, Format

Kind = Literal["model", "adapter", "projector"]
Pooling = Literal["mean", "cls", "last", "rank"]
_ENCODERS = (
    "bert", "nomic-bert", "nomic-bert-moe", "jina-bert-v2", "jina-bert-v3", "neo-bert", "modern-bert",
    "gemma-embedding",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """The metadata of one file or folder. Lengths in tokens or elements; `size_bytes` of this file, one of `parts`.

    `context_length` is 0 and texts are "" where the file says nothing. `cache_elements`: the key and value
    elements that one token of context takes, over all layers; `head_elements`: the width of one key head.
    """

    architecture: str
    kind: Kind
    name: str
    size_bytes: int
    parts: int
    context_length: int
    quantization: str
    parameters: int
    layers: int
    embedding_length: int
    cache_elements: int
    head_elements: int
    pooling: Pooling | None
    chat_template: str
    format: Format = "gguf"


def capabilities(meta: ModelMetadata) -> tuple[Capability, ...]:
    """What the model can be asked for; () for a file that is no model by itself (an adapter, a projector)."""
    if meta.kind != "model":
        return ()
    if meta.pooling == "rank":
        return ("rerank",)
    if meta.pooling is not None or meta.architecture in _ENCODERS:
        return ("embedding",)
    return ("chat", "completion", "tools") if "tools" in meta.chat_template else ("chat", "completion")


def details(meta: ModelMetadata) -> dict[str, str | int | bool]:
    """The metadata worth keeping beside an installed model, as plain values."""
    return {
        "format": meta.format,
        "architecture": meta.architecture,
        "name": meta.name,
        "quantization": meta.quantization,
        "parameters": meta.parameters,
        "layers": meta.layers,
        "embedding_length": meta.embedding_length,
        "cache_elements": meta.cache_elements,
        "pooling": meta.pooling or "",
        "chat_template": bool(meta.chat_template),
    }
