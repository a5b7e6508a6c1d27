#!/usr/bin/env python3
"""The tiny models of `tiny_models` as Hugging Face folders, for engines that read no GGUF: MLX-LM, vLLM.

python scripts/tiny_folders.py FOLDER --mode tool
"""

import argparse
import json
import struct
import sys
from pathlib import Path
from typing import Any, get_args

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import tiny_models
from scripts.tiny_models import HEAD, VOCABULARY, Mode, TinyModel, Tokenizer, Weights

NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def write(model: TinyModel, folder: Path) -> None:
    """Write the model. Raises ValueError when its text cannot be said."""
    tokenizer, specials = tiny_models.tokenizer_of(model)
    embedding, output = tiny_models.embedding_and_output(model, tokenizer)
    weights: Weights = {
        "model.embed_tokens.weight": embedding,
        "lm_head.weight": output,
        "model.norm.weight": np.ones(model.dim),
    }
    for i in range(model.layers):
        for name, weight in tiny_models.layer_weights(model, i).items():
            weights[f"model.layers.{i}.{NAMES[name]}.weight"] = weight
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(_safetensors(weights))
    end, stop = tokenizer.ids[tiny_models.END], tokenizer.ids[tiny_models.STOP]
    _json(folder / "config.json", _config(model) | {"bos_token_id": end, "eos_token_id": stop})
    _json(folder / "generation_config.json", {"eos_token_id": [stop, end]})
    _json(folder / "tokenizer.json", _tokenizer(tokenizer, specials))
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": tiny_models.STOP,
        "pad_token": tiny_models.END,
        "bos_token": None,
        "model_max_length": model.context,
        "clean_up_tokenization_spaces": False,
        "chat_template": tiny_models.template_of(model),
    }
    _json(folder / "tokenizer_config.json", about)


def _config(model: TinyModel) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": model.dim,
        "intermediate_size": model.ff,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": 1,
        "head_dim": HEAD,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": model.context,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
    }


def _tokenizer(tokenizer: Tokenizer, specials: list[str]) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [
        {"id": tokenizer.ids[text], "content": text, **plain, "special": "|" in text} for text in specials
    ]
    split = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    words = {token: i for token, i in tokenizer.ids.items() if token not in specials}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, level]},
        "post_processor": None,
        "decoder": level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": words,
            "merges": [list(pair) for pair in tokenizer.merges],
        },
    }


def _safetensors(weights: Weights) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    parts: list[bytes] = []
    at = 0
    for name, weight in weights.items():
        data = np.ascontiguousarray(weight, np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(weight.shape), "data_offsets": [at, at + len(data)]}
        parts.append(data)
        at += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--mode", choices=get_args(Mode), default="text")
    arguments = parser.parse_args()
    write(TinyModel(mode=arguments.mode), arguments.folder)


if __name__ == "__main__":
    main()
