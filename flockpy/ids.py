"""Opaque ids by prefix: ``n_`` node, ``k_`` key, ``p_`` placement, ``op_`` operation, ``req_`` request.

Pure. The randomness is an argument, so a simulation can seed it.
"""

from collections.abc import Callable
from typing import Literal

Entropy = Callable[[int], bytes]
"""``entropy(n)`` answers n random bytes; `secrets.token_bytes` in production."""

Prefix = Literal["n", "k", "p", "op"]

KEY_PREFIX = "sk-orc-"
"""What every API key of ours begins with."""


def new_id(prefix: Prefix, entropy: Entropy) -> str:
    """A fresh id such as ``n_5f0c1e9ab2d47c3e8a61``: 80 random bits."""
    return f"{prefix}_{entropy(10).hex()}"


class RequestIds:
    """Ids of requests, ``req_`` + 40 random bits of this start + a counter: unique, sortable, cheap."""

    def __init__(self, entropy: Entropy) -> None:
        self._start = f"req_{entropy(5).hex()}"
        self._count = 0

    def __call__(self) -> str:
        self._count += 1
        return f"{self._start}{self._count:08x}"
