#!/usr/bin/env python3
"""Tiny llama models in GGUF form that load in a tenth of a second and say what they are told to say.

text     answers with `text` and stops
loop     repeats `text` for ever: for streams, cancelling, draining, queues
tool     answers with one call of a tool: `tool_call`, whose JSON is a single token
agent    answers with that call, and with `text` once it is told what the tool said
random   random weights: valid, and gibberish

All but the last hold a hand-made table instead of knowledge: each token of the answer has a direction of its
own in the embedding, and the output matrix reads the next token off it. All layers are zero, so they cost
their time and change nothing. Hence the answer depends on the last token alone, and is the same at any
temperature up to 1.
The bytes written depend on the arguments alone.

    python scripts/tiny_models.py OUT.gguf --mode loop --layers 8 --dim 512     # slower, 46 MB
"""

import argparse
import itertools
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import gguf
import numpy as np

Mode = Literal["text", "loop", "tool", "agent", "random"]
Weights = dict[str, np.ndarray]

HEAD = 64  # the width of one attention head; other engines refuse smaller ones
VOCABULARY = 512
END, START, STOP, CALL, CALLED = "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"
TOLD = "<|told|>"
COMMON = (
    "user assistant system tool tools name arguments function\n"
    " the a of to and in is you that it for on are with as I can me how what hello please weather city"
)
# llama.cpp's "qwen2" pre-tokenizer, for the ASCII that these models speak.
PIECES = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\r\n\w]?[A-Za-z]+|\d| ?[^\s\w]+[\r\n]*|\s*[\r\n]+|\s+")
TEMPLATE = (
    "{%- if tools %}"
    "{{- '<|im_start|>system\\n' }}"
    "{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}"
    "{{- 'You may call these functions:\\n<tools>' }}"
    "{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}"
    "{{- '\\n</tools>\\nTo call one, answer with JSON inside of tool_call tags:\\n<tool_call>\\n"
    '{"name": <function-name>, "arguments": <arguments-object>}'
    "\\n</tool_call><|im_end|>\\n' }}"
    "{%- elif messages[0].role == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- for message in messages %}"
    "{%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{%- elif message.role == 'assistant' %}"
    "{{- '<|im_start|>assistant\\n' + (message.content or '') }}"
    "{%- for call in message.tool_calls or [] %}"
    "{%- set function = call.function or call %}"
    '{{- \'\\n<tool_call>\\n{"name": "\' + function.name + \'", "arguments": \' }}'
    "{{- function.arguments if function.arguments is string else (function.arguments | tojson) }}"
    "{{- '}\\n</tool_call>' }}"
    "{%- endfor %}"
    "{{- '<|im_end|>\\n' }}"
    "{%- elif message.role == 'tool' %}"
    "{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}"
    "{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)

# A model that sees only its last token learns from this one that it has had its turn with a tool.
AGENT_TEMPLATE = (
    TEMPLATE
    + "{%- if add_generation_prompt and messages[-1].role == 'tool' %}{{- '"
    + TOLD
    + "' }}{%- endif %}"
)


@dataclass(frozen=True, slots=True)
class TinyModel:
    """What to make. `dim` is a multiple of 128; `layers`, `dim` and `ff` only make it bigger and slower.

    `pooling` (1 mean, 2 first, 3 last token) makes an embedding model of it.
    """

    mode: Mode = "text"
    text: str = "Hello! The quick brown fox jumps over a lazy dog."
    tool_call: str = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
    name: str = "tiny"
    layers: int = 2
    dim: int = 128
    ff: int = 256
    context: int = 4096
    pooling: int | None = None
    seed: int = 0

    @property
    def heads(self) -> int:
        return self.dim // HEAD


class Tokenizer:
    """Byte-level BPE with just enough merges to make each piece of the given texts one token."""

    def __init__(self, texts: list[str], specials: list[str]) -> None:
        # GPT-2's alphabet: printable bytes stand for themselves, the others for characters from 256 on.
        printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
        others = [b for b in range(256) if b not in printable]
        self._letters = {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}
        self.merges: list[tuple[str, str]] = []
        for piece in dict.fromkeys(piece for text in texts for piece in PIECES.findall(text)):
            # A merge is only ever added last, so what the earlier ones make of earlier pieces stays.
            while len(parts := self._merge(piece)) > 1:
                self.merges.append((parts[0], parts[1]))
        words = dict.fromkeys([*self._letters.values(), *(a + b for a, b in self.merges)])
        self.tokens = [*words, *specials]
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def encode(self, text: str) -> list[int]:
        return [self.ids[part] for piece in PIECES.findall(text) for part in self._merge(piece)]

    def _merge(self, piece: str) -> list[str]:
        parts = [self._letters[b] for b in piece.encode()]
        for left, right in self.merges:
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == (left, right):
                    parts[i : i + 2] = [left + right]
                i += 1
        return parts


def successors(model: TinyModel, tokenizer: Tokenizer) -> tuple[list[tuple[int, int]], int]:
    """Which token follows which, and the one that follows any other."""
    ids = tokenizer.ids
    newline, stop = tokenizer.encode("\n")[0], ids[STOP]
    text = tokenizer.encode(model.text)
    if model.mode in ("tool", "agent"):
        call, json, called = ids[CALL], ids[f"\n{model.tool_call}\n"], ids[CALLED]
        calls = [(newline, call), (call, json), (json, called), (called, stop), (stop, stop)]
        if model.mode == "agent":
            calls += [(ids[TOLD], text[0]), *itertools.pairwise(text), (text[-1], stop)]
        return calls, call
    if len(set(text)) < len(text) or newline in text:
        raise ValueError(f"a word or sign occurs twice in {model.text!r}; each must be a token of its own")
    last = (text[-1], text[0] if model.mode == "loop" else stop)
    return [(newline, text[0]), *itertools.pairwise(text), last, (stop, stop)], text[0]


def embedding_and_output(model: TinyModel, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """The two matrices around the layers; direction 0 is shared by all tokens and leads to the fallback."""
    random = np.random.default_rng(model.seed + 1)
    if model.mode == "random":
        size = (VOCABULARY, model.dim)
        return random.standard_normal(size) * 0.5, random.standard_normal(size) * 0.3
    pairs, fallback = successors(model, tokenizer)
    known = sorted({current for current, _ in pairs})
    free = model.dim - len(known) - 1
    if free < 8:
        raise ValueError(f"an answer of {len(known)} tokens needs a dim above {len(known) + 8}")
    embedding, output = np.zeros((2, VOCABULARY, model.dim))
    embedding[:, 0] = 0.4
    embedding[:, len(known) + 1 :] = random.standard_normal((VOCABULARY, free)) * 0.9 / np.sqrt(free)
    for i, token in enumerate(known):
        embedding[token, 1:] = 0
        embedding[token, 1 + i] = 0.9
    for current, following in pairs:
        output[following, 1 + known.index(current)] += 4.0
    output[fallback, 0] += 4.0
    return embedding, output


def layer_weights(model: TinyModel, index: int) -> Weights:
    random = np.random.default_rng((model.seed, index))
    shapes = {
        "attn_q": (model.dim, model.dim),
        "attn_k": (HEAD, model.dim),
        "attn_v": (HEAD, model.dim),
        "attn_output": (model.dim, model.dim),
        "ffn_gate": (model.ff, model.dim),
        "ffn_up": (model.ff, model.dim),
        "ffn_down": (model.dim, model.ff),
    }
    if model.mode == "random":
        weights = {name: random.standard_normal(shape) * 0.05 for name, shape in shapes.items()}
    else:
        weights = {name: np.zeros(shape) for name, shape in shapes.items()}
    return weights | {"attn_norm": np.ones(model.dim), "ffn_norm": np.ones(model.dim)}


def template_of(model: TinyModel) -> str:
    return AGENT_TEMPLATE if model.mode == "agent" else TEMPLATE


def tokenizer_of(model: TinyModel) -> tuple[Tokenizer, list[str]]:
    """The tokenizer, and those of its tokens that are signs. Raises ValueError when there are too many."""
    specials = [END, START, STOP, CALL, CALLED]
    if model.mode in ("tool", "agent"):
        specials.append(f"\n{model.tool_call}\n")
    if model.mode == "agent":
        specials.append(TOLD)
    tokenizer = Tokenizer([model.text, COMMON], specials)
    if len(tokenizer.tokens) > VOCABULARY:
        raise ValueError(f"the text needs {len(tokenizer.tokens)} tokens, {VOCABULARY} are there")
    return tokenizer, specials


def write(model: TinyModel, path: Path) -> None:
    """Write the model. Raises ValueError when its text cannot be said."""
    tokenizer, specials = tokenizer_of(model)
    embedding, output = embedding_and_output(model, tokenizer)

    file = gguf.GGUFWriter(path, "llama")
    file.add_name(model.name)
    file.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    file.add_vocab_size(VOCABULARY)
    file.add_context_length(model.context)
    file.add_embedding_length(model.dim)
    file.add_block_count(model.layers)
    file.add_feed_forward_length(model.ff)
    file.add_head_count(model.heads)
    file.add_head_count_kv(1)
    file.add_rope_dimension_count(HEAD)
    file.add_rope_freq_base(10000.0)
    file.add_layer_norm_rms_eps(1e-5)
    if model.pooling is not None:
        file.add_pooling_type(gguf.PoolingType(model.pooling))
    _add_tokenizer(file, tokenizer, specials)
    file.add_chat_template(template_of(model))
    half = np.float16
    file.add_tensor("token_embd.weight", embedding.astype(half))
    file.add_tensor("output.weight", output.astype(half))
    file.add_tensor("output_norm.weight", np.ones(model.dim, np.float32))
    for i in range(model.layers):
        for name, weight in layer_weights(model, i).items():
            kind = np.float32 if weight.ndim == 1 else half
            file.add_tensor(f"blk.{i}.{name}.weight", weight.astype(kind))
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def _add_tokenizer(file: gguf.GGUFWriter, tokenizer: Tokenizer, specials: list[str]) -> None:
    padding = [f"[PAD{i}]" for i in range(len(tokenizer.tokens), VOCABULARY)]
    kinds = [gguf.TokenType.NORMAL] * (len(tokenizer.tokens) - len(specials))
    kinds += [gguf.TokenType.CONTROL if "|" in s else gguf.TokenType.USER_DEFINED for s in specials]
    kinds += [gguf.TokenType.UNUSED] * len(padding)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("qwen2")
    file.add_token_list([*tokenizer.tokens, *padding])
    file.add_token_types(kinds)
    file.add_token_merges([f"{left} {right}" for left, right in tokenizer.merges])
    file.add_bos_token_id(tokenizer.ids[END])
    file.add_eos_token_id(tokenizer.ids[STOP])
    file.add_pad_token_id(tokenizer.ids[END])
    file.add_add_bos_token(False)


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("out", type=Path)
    for option in fields(TinyModel):
        parser.add_argument(f"--{option.name.replace('_', '-')}", default=option.default,
                            type=str if isinstance(option.default, str) else int)  # fmt: skip
    arguments = vars(parser.parse_args())
    out: Path = arguments.pop("out")
    write(TinyModel(**arguments), out)
    print(f"{out}: {out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
