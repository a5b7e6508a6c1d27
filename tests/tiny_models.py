"""Tiny models for tests, made once and kept in the checkout's ``.cache``: `tiny_model(mode="loop")`."""

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec

from flockpy.gguf import read_metadata
from flockpy.modelfile import capabilities
from flockpy.placement import ModelSpec
from scripts import tiny_models
from scripts.tiny_models import TinyModel

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "tiny-models"


def tiny_model(**options: Any) -> Path:
    """The path of such a model; `options` are `TinyModel`'s fields. Several processes may ask at once."""
    model = TinyModel(**options)
    source = Path(tiny_models.__file__).read_bytes()
    digest = hashlib.sha256(source + msgspec.json.encode(model)).hexdigest()[:12]
    path = _CACHE / f"{model.mode}-{digest}.gguf"
    if not path.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        tiny_models.write(model, unfinished)
        unfinished.replace(path)
    return path


def model_spec(path: Path, model_id: str = "tiny") -> ModelSpec:
    """What a leader would tell an agent about that file."""
    meta = read_metadata(path)
    size, context = meta.size_bytes, meta.context_length
    return ModelSpec(model_id, str(path), size, context, capabilities(meta))
