"""The models of the simulated Ollama, and how it speaks of them."""

from dataclasses import dataclass
from typing import Any

NOW = "2026-11-22T00:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class Model:
    """One that was pulled. `trained`: its context in tokens; `num_ctx`: what its Modelfile says, 0 for nothing."""

    name: str
    answer: str = "Quack from Ollama."
    capabilities: tuple[str, ...] = ("completion", "tools")
    trained: int = 131_072
    num_ctx: int = 0
    digest: str = "0123456789abcdef"

    @property
    def details(self) -> dict[str, Any]:
        return {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "3.2B",
            "quantization_level": "Q4_K_M",
        }


def tag(model: Model) -> dict[str, Any]:
    """How a list shows it."""
    base = {"name": model.name, "model": model.name, "size": 2_000_000_000, "digest": model.digest}
    return {**base, "modified_at": NOW, "details": model.details}


def running_model(model: Model, context: int) -> dict[str, Any]:
    """How it is shown while it is loaded with `context` tokens."""
    listed = tag(model)
    del listed["modified_at"]
    return {**listed, "expires_at": "2026-11-22T00:05:00Z", "size_vram": 0, "context_length": context}


def show(model: Model) -> dict[str, Any]:
    """Everything about it."""
    return {
        "license": "",
        "modelfile": f"FROM {model.name}",
        "parameters": f'num_ctx                        {model.num_ctx}\nstop  "<|im_end|>"'
        if model.num_ctx
        else "",
        "template": "{{ if .Tools }}{{ .Tools }}{{ end }}{{ .Prompt }}",
        "details": model.details,
        "model_info": {"general.architecture": "llama", "llama.context_length": model.trained},
        "capabilities": list(model.capabilities),
        "modified_at": NOW,
    }
