"""How many tokens a prompt will be, guessed from its bytes before an engine has counted it. Pure.

The guess is to err high: a quota is held by it.
"""

from dataclasses import dataclass
from math import ceil

TEMPLATE_TOKENS = 32
"""What a chat template adds to the shortest of prompts."""

_MARGIN = 1.25
_FALL = 0.05
_LOWEST = 0.2
"""Images are many bytes and few tokens; the next prompt may be all text."""

_TELLING_BYTES = 512
"""Shorter prompts say more about the template than about the text."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """Tokens per byte of one model's prompts; a third until its first answers are in."""

    tokens_per_byte: float = 1 / 3


def estimate(ratio: Ratio, prompt_bytes: int, context_window: int) -> int:
    """Tokens of a prompt of `prompt_bytes`, never more than `context_window` (0: not known)."""
    tokens = TEMPLATE_TOKENS + ceil(prompt_bytes * ratio.tokens_per_byte)
    return min(tokens, context_window) if context_window else tokens


def learn(ratio: Ratio, prompt_bytes: int, prompt_tokens: int) -> Ratio:
    """`ratio` after an engine counted `prompt_tokens`: up at once, down slowly, with a margin on top."""
    if prompt_bytes < _TELLING_BYTES:
        return ratio
    seen = _MARGIN * prompt_tokens / prompt_bytes
    if seen >= ratio.tokens_per_byte:
        return Ratio(seen)
    return Ratio(max(_LOWEST, ratio.tokens_per_byte + _FALL * (seen - ratio.tokens_per_byte)))
