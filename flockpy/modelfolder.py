"""What a Hugging Face folder (config.json, *.safetensors, a tokenizer) says of itself, read without trusting it."""

from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from flockpy.errors import BadRequest
from flockpy.modelfile import ModelMetadata

CONFIG, WEIGHTS = "config.json", "*.safetensors"
_MAX_TEXT = 16 * 2**20

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
Number = Annotated[int, Meta(ge=0, lt=2**31)]


class _Quantization(msgspec.Struct, frozen=True):
    bits: Number = 0


class _Text(msgspec.Struct, frozen=True):
    """The part that a model which also sees has of its own for text."""

    max_position_embeddings: Number = 0
    num_hidden_layers: Number = 0
    hidden_size: Number = 0
    num_attention_heads: Number = 0
    num_key_value_heads: Number | None = None
    head_dim: Number | None = None


class _Config(_Text, frozen=True):
    model_type: str = ""
    torch_dtype: str | None = None
    quantization: _Quantization | None = None
    text_config: _Text | None = None


class _Tokenizer(msgspec.Struct, frozen=True):
    chat_template: str | list[msgspec.Raw] | None = None


def is_model_folder(path: Path) -> bool:
    """Whether a folder holds a model, by the names in it; it blocks."""
    return (path / CONFIG).is_file() and next(path.glob(WEIGHTS), None) is not None


def read_folder(path: Path) -> ModelMetadata:
    """Read what a folder says; it blocks. Raises BadRequest naming the file and what is wrong with it."""
    config = _decoded(path / CONFIG, _Config)
    if not config.model_type:
        raise BadRequest(f"{path / CONFIG} names no model_type", hint="download the folder again, whole")
    text = config.text_config or config
    heads = text.num_attention_heads
    head = text.head_dim or text.hidden_size // max(1, heads)
    kv_heads = heads if text.num_key_value_heads is None else text.num_key_value_heads
    try:
        size = sum(file.stat().st_size for file in path.glob(WEIGHTS))
    except OSError as error:
        raise BadRequest(f"cannot read {path}: {error.strerror or error}") from None
    bits = config.quantization.bits if config.quantization else 0
    return ModelMetadata(
        architecture=config.model_type[:64],
        kind="model",
        name="".join(c for c in path.name[:200] if c.isprintable()),
        size_bytes=size,
        parts=1,
        context_length=text.max_position_embeddings,
        quantization=f"{bits}-bit" if bits else (config.torch_dtype or "")[:16],
        parameters=0,
        layers=text.num_hidden_layers,
        embedding_length=text.hidden_size,
        cache_elements=text.num_hidden_layers * kv_heads * 2 * head,
        head_elements=head,
        pooling=None,
        chat_template=_template(path),
        format="safetensors",
    )


def _template(path: Path) -> str:
    file = path / "chat_template.jinja"
    if file.is_file():
        return _bytes(file).decode("utf-8", "replace")
    file = path / "tokenizer_config.json"
    template = _decoded(file, _Tokenizer).chat_template if file.is_file() else None
    return template if isinstance(template, str) else str(template or "")


def _decoded(file: Path, kind: type[_Struct]) -> _Struct:
    try:
        return msgspec.json.decode(_bytes(file), type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(
            f"{file} is not as it should be: {error}", hint="download the folder again, whole"
        ) from None


def _bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX_TEXT)
    except OSError as error:
        raise BadRequest(f"cannot read {file}: {error.strerror or error}") from None
