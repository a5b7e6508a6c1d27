"""The models of the simulated OpenAI: what each is good for, and what it takes. Pure."""

import base64
import hashlib
import re
from collections.abc import Mapping

CHAT, OLD, EMBEDDING, RESPONSES = "chat", "completion", "embedding", "responses only"
MODELS: Mapping[str, str] = {
    "gpt-6-sol": CHAT,
    "gpt-5.5": CHAT,
    "gpt-5.5-pro": RESPONSES,
    "gpt-5.2": CHAT,
    "gpt-5.1-codex": RESPONSES,
    "gpt-5": CHAT,
    "gpt-5-mini": CHAT,
    "gpt-5-chat-latest": CHAT,
    "gpt-4.1": CHAT,
    "gpt-4.1-mini": CHAT,
    "gpt-4o": CHAT,
    "gpt-4o-mini": CHAT,
    "o3": CHAT,
    "o4-mini": CHAT,
    "codex-mini-latest": RESPONSES,
    "gpt-3.5-turbo-instruct": OLD,
    "text-embedding-3-small": EMBEDDING,
    "text-embedding-3-large": EMBEDDING,
}
"""The models there are, and what each is good for."""
_REASONS = re.compile(r"o\d|gpt-[5-9](?!.*chat)|codex-")
QUIET = re.compile(r"gpt-5\.[1-5](?!\d|-codex|-pro)")
"""Models that can be told not to reason, and then take sampling parameters."""
EFFORTS: Mapping[str, str] = {
    "gpt-6-sol": "low medium high xhigh max",
    "gpt-5.5": "none low medium high xhigh",
    "gpt-5.5-pro": "medium high xhigh",
    "gpt-5.2": "none low medium high xhigh",
    "gpt-5": "minimal low medium high",
    "gpt-5-mini": "minimal low medium high",
}
OUTPUTS: Mapping[str, int] = {
    "gpt-4o": 16_384,
    "gpt-4o-mini": 16_384,
    "gpt-5-chat-latest": 16_384,
    "gpt-4.1": 32_768,
    "gpt-4.1-mini": 32_768,
    "o3": 100_000,
}
NO_TOOLS_IN_CHAT = re.compile(r"gpt-[6-9]|gpt-5\.[4-9]")
"""Models that call functions in a chat only while they do not reason."""


def encrypted(text: str) -> str:
    """Reasoning that only the vendor can read: a token of the form that Fernet has."""
    digest = hashlib.sha256(f"simulated {text}".encode()).digest()
    return base64.urlsafe_b64encode(b"\x80\x00\x00\x00\x00" + b"\x69\x20\x00\x00" + digest).decode()


def reasons(model: str) -> bool:
    return _REASONS.match(model) is not None
