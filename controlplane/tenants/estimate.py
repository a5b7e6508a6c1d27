"""How many tokens a prompt will be, guessed from its bytes before an engine has counted it. Pure.

The guess is to err high: where a quota is nearly spent it decides.
"""

from math import ceil

UNKNOWN = 1 / 3
"""Tokens per byte of a model whose first answers are not in yet."""

TEMPLATE_TOKENS = 32
"""What a chat template adds to the shortest of prompts."""

_MARGIN = 1.25
_FALL = 0.05
_LOWEST = 0.2
"""Images are many bytes and few tokens; the next prompt may be all text."""

_TELLING_BYTES = 512
"""Shorter prompts say more about the template than about the text."""


def estimate(tokens_per_byte: float, prompt_bytes: int, context_window: int) -> int:
    """Tokens of a prompt of `prompt_bytes`, never more than `context_window` (0: not known)."""
    tokens = TEMPLATE_TOKENS + ceil(prompt_bytes * tokens_per_byte)
    return min(tokens, context_window) if context_window else tokens


def most(prompt_bytes: int, context_window: int) -> int:
    """Tokens that no prompt of `prompt_bytes` exceeds: a token is a byte at least."""
    tokens = TEMPLATE_TOKENS + prompt_bytes
    return min(tokens, context_window) if context_window else tokens


def learn(tokens_per_byte: float, prompt_bytes: int, prompt_tokens: int) -> float:
    """The ratio once an engine has counted `prompt_tokens`: up at once, down slowly, with a margin."""
    if prompt_bytes < _TELLING_BYTES:
        return tokens_per_byte
    seen = _MARGIN * prompt_tokens / prompt_bytes
    if seen >= tokens_per_byte:
        return seen
    return max(_LOWEST, tokens_per_byte + _FALL * (seen - tokens_per_byte))
