"""Opaque ids by prefix: ``n_`` node, ``k_`` key, ``p_`` placement, ``op_`` operation, ``req_`` request.

Pure. The randomness is an argument, so a simulation can seed it.
"""

import base64
from collections.abc import Callable
from typing import Literal

Entropy = Callable[[int], bytes]
"""``entropy(n)`` answers n random bytes; `secrets.token_bytes` in production."""

Prefix = Literal["n", "k", "p", "op", "req"]


def new_id(prefix: Prefix, entropy: Entropy) -> str:
    """A fresh id such as ``req_mfzwizltoq4tc``: 80 random bits in lower-case base 32."""
    return f"{prefix}_{base64.b32encode(entropy(10)).decode().lower()}"
