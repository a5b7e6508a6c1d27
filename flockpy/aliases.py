"""Aliases: second names that models may be asked for by, and what a name and its target may look like. Pure.

A name with a ``*`` is a glob: it stands for every name of that form, and ``*`` for any text, the empty one too.
An alias leads to a model's id, to ``auto`` (the default model, or one that fits the request better), or to "", which
is nowhere: the names it stands for are unknown.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from flockpy.globs import is_glob

AUTO: Final = "auto"
MAX_CHARS: Final = 200
NAME_PATTERN: Final = f"^[!-~]{{1,{MAX_CHARS}}}$"

SHIPPED: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("claude-*haiku*", "claude-*sonnet*", "claude-*opus*", "claude-fable*"), AUTO),
        **dict.fromkeys(("gpt-*", "o1*", "o3*", "o4*"), AUTO),
        "gpt-oss*": "",  # open weights: who asks for them means them, not whatever is there
    }
)
"""Vendors' names that clients have built in: Claude Code's helpers ask for a haiku whatever model its user chose."""


def refusal(name: str, model: str) -> str | None:
    """Why there cannot be an alias `name` for `model`, whatever is installed; None when there can."""
    if name == AUTO:
        return f"{AUTO!r} is the default model's name already; set router.default_model instead"
    if not re.fullmatch(NAME_PATTERN, name):
        return f"an alias is 1 to {MAX_CHARS} visible ASCII characters without spaces"
    if len(model) > MAX_CHARS:
        return f"what an alias stands for has at most {MAX_CHARS} characters, this has {len(model)}"
    if is_glob(model):
        return f"an alias stands for one model; {model!r} is a pattern"
    return None
