"""Whose thought is this: the vendor that signed it. Pure.

A client sends thoughts back with the next turn, maybe to another vendor's model: each takes its own alone, and one that
another signed is a 400.
"""

import re
from typing import Final, Literal

GEMINI: Final = "gemini:"
"""Stands before Gemini's signatures wherever clients keep them: by themselves they look like Anthropic's."""
_GEMINI: Final = re.compile(r"gemini:([A-Za-z0-9+/_-]+={0,2})")
_ENCRYPTED: Final = re.compile(r"gAAAAA[A-Za-z0-9_-]{16,}={0,2}")
"""All of OpenAI's is encrypted content, a Fernet token. Others' are base64 of protocol buffers and cannot begin so."""


def whose(signature: str) -> Literal["anthropic", "openai", "gemini", ""]:
    """ "" for none: a model of our own thought it."""
    if ":" in signature:
        return "gemini"
    if _ENCRYPTED.fullmatch(signature):
        return "openai"
    return "anthropic" if signature else ""


def given_to_gemini(signature: str) -> str:
    """What Gemini is given back of its own, "" of any other."""
    own = _GEMINI.fullmatch(signature)
    return own[1] if own else ""
