"""What the families of OpenAI's models take of a request, told by their names. Pure.

A parameter that a model does not know is a 400; so is an effort that it does not have.
"""

import re
from typing import Final

from controlplane.protocols.ir import Thinking

_REASON: Final = re.compile(r"o\d|codex-|gpt-(?:[5-9]|[1-9]\d)(?!\S*chat)")
_LEVELS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_KNOWN: Final[tuple[tuple[re.Pattern[str], frozenset[str]], ...]] = tuple(
    (re.compile(pattern), frozenset(levels.split()))
    for pattern, levels in (
        (r"o\d|codex-|gpt-5(?:\.1)?-codex(?!-max)", "low medium high"),
        (r"gpt-5-pro", "high"),
        (r"gpt-\d+(?:\.\d+)?-pro", "medium high xhigh"),
        (r"gpt-5\.\d+-codex", "low medium high xhigh"),
        (r"gpt-5(?![.\d])", "minimal low medium high"),
        (r"gpt-5\.1(?!\d)", "none low medium high"),
        (r"gpt-5\.[2-5](?!\d)", "none low medium high xhigh"),
        (r"gpt-5\.", "none low medium high xhigh max"),
        (r"gpt-", "low medium high xhigh max"),
    )
)
"""The efforts of each family, the first that fits; of the latest only some members know ``none``."""
_UNHURRIED: Final = re.compile(r"gpt-5\.[1-5](?!\d)")
"""Families that take sampling parameters while they do not reason."""
_OUTPUTS: Final[tuple[tuple[re.Pattern[str], int], ...]] = tuple(
    (re.compile(pattern), most)
    for pattern, most in (
        (r"gpt-3\.5|gpt-4-turbo|gpt-4-\d{4}-preview|gpt-4o-2024-05-13", 4096),
        (r"gpt-4(?![.o])", 8192),
        (r"gpt-4o|chatgpt-|gpt-\S*chat", 16_384),
        (r"gpt-4\.1", 32_768),
        (r"o\d|codex-", 100_000),
        (r"gpt-", 128_000),
    )
)
"""Tokens that the members of a family write at most, the first that fits."""
_BUDGETS: Final = ((2048, "low"), (8192, "medium"))
"""Tokens to think with, up to which an effort is meant; more is high."""


def reasons(model: str) -> bool:
    """Whether a model thinks before it speaks."""
    return _REASON.match(model) is not None


def effort(model: str, wanted: Thinking) -> str | None:
    """The effort to ask for: the nearest that the model has; None for its own choice, or when it has none."""
    asked = _asked(wanted)
    if asked is None or not reasons(model):
        return None
    known = next(levels for pattern, levels in _KNOWN if pattern.match(model))
    ranked = [level for level in _LEVELS if level in known and (asked == "none" or level != "none")]
    below = [level for level in ranked if _LEVELS.index(level) <= _LEVELS.index(asked)]
    return below[-1] if below else ranked[0]


def samples(model: str, effort: str | None) -> bool:
    """Whether a model takes `temperature` and `top_p`, at an effort that `effort` answered."""
    if not reasons(model):
        return "chat-latest" not in model
    return effort == "none" and _UNHURRIED.match(model) is not None


def most(model: str, tokens: int) -> int:
    """As many tokens as were asked for, or as a model can write at all: more are refused."""
    return min(tokens, next((most for pattern, most in _OUTPUTS if pattern.match(model)), tokens))


def _asked(wanted: Thinking) -> str | None:
    if wanted.enabled is False:
        return "none"
    if wanted.effort in _LEVELS:
        return wanted.effort
    if wanted.budget_tokens is None:
        return None
    return next((level for most, level in _BUDGETS if wanted.budget_tokens <= most), "high")
