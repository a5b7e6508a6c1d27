"""Keys and files that only their owner may read."""

import base64
import hashlib
import os
import re
from pathlib import Path

from flockpy.ids import KEY_PREFIX, Entropy

_KEYS = re.compile(
    r"(sk-orc-[\w-]{4})[\w-]*"
    r"|\b(sk-(?:ant|proj|svcacct|admin)-)[\w-]{4,}"
    r"|\b(sk-)[A-Za-z0-9]{20,}"
    r"|\b(A[KS]IA)[A-Z0-9]{8,}"
    r"|\b(ABSK|AIza|ya29\.)[\w.+/=-]{8,}",
    re.ASCII,
)
"""Our own keys and those of vendors; what is kept of one stands in a group."""


def new_key(entropy: Entropy) -> str:
    """A fresh API key: ``sk-orc-`` and 256 random bits in URL-safe base 64."""
    return KEY_PREFIX + base64.urlsafe_b64encode(entropy(32)).decode().rstrip("=")


def hash_key(key: str) -> bytes:
    """SHA-256 of a key, what is kept at rest. A fast hash is right here: the key has 256 bits of its own."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def key_prefix(key: str) -> str:
    """The first characters of a key, enough for a person to tell keys apart, useless to an attacker."""
    return key[: len(KEY_PREFIX) + 4]


def redact(text: str) -> str:
    """Text with every API key, of ours and of vendors, cut to its prefix; applied at every log sink."""
    return _KEYS.sub(lambda found: f"{found[found.lastindex or 0]}…", text)


def write_private(path: Path, text: str) -> None:
    """Replace `path` atomically with `text`, readable by its owner only (0600)."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def private_dir(path: Path) -> Path:
    """Make `path` with its parents, readable by its owner only (0700); answers it."""
    for parent in reversed(path.parents):  # by itself mkdir gives its mode to the last one only
        if not parent.exists():
            parent.mkdir(mode=0o700, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    return path
