"""Tiny models for tests, made once and kept in the checkout's ``.cache``: `tiny_model(mode="loop")`."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from flockpy.gguf import read_metadata
from flockpy.modelfile import capabilities
from flockpy.placement import ModelSpec
from scripts import tiny_folders, tiny_models
from scripts.tiny_models import TinyModel

_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "tiny-models"


def tiny_model(**options: Any) -> Path:
    """The path of such a model; `options` are `TinyModel`'s fields. Several processes may ask at once."""
    model = TinyModel(**options)
    path = _CACHE / f"{model.mode}-{_digest(model, tiny_models.__file__)}.gguf"
    if not path.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        tiny_models.write(model, unfinished)
        unfinished.replace(path)
    return path


def tiny_folder(**options: Any) -> Path:
    """Such a model as a Hugging Face folder, for engines that read no GGUF."""
    model = TinyModel(**options)
    path = _CACHE / f"{model.mode}-{_digest(model, tiny_models.__file__, tiny_folders.__file__)}"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}")
        tiny_folders.write(model, unfinished)
        try:
            unfinished.rename(path)
        except OSError:  # another process was faster
            shutil.rmtree(unfinished)
    return path


def _digest(model: TinyModel, *sources: str) -> str:
    code = b"".join(Path(source).read_bytes() for source in sources)
    return hashlib.sha256(code + msgspec.json.encode(model)).hexdigest()[:12]


def model_spec(path: Path, model_id: str = "tiny") -> ModelSpec:
    """What a leader would tell an agent about that file."""
    meta = read_metadata(path)
    size, context = meta.size_bytes, meta.context_length
    return ModelSpec(model_id, str(path), size, context, capabilities(meta))
