"""What opens a vendor is cut out of all that the vendor says: there are errors that repeat the key. Pure."""

from collections.abc import Iterable
from typing import Final

import msgspec

CUT: Final = b"***"
SHORTEST: Final = 8
"""Bytes; cutting every "x" out would leave nothing of an answer."""
_OPENING: Final = frozenset({b"authorization", b"x-api-key", b"x-amz-security-token"})


class Hush:
    """Reads one answer, cut anywhere. `headers` are those of its request."""

    __slots__ = ("_held", "_secrets")

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        self._secrets = _secrets(headers)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What may be passed on now; the beginning of a secret is held back until it is known to be none."""
        data = self.whole(self._held + data if self._held else data)
        # Line ends are in no secret, and most pieces of a stream end with one.
        size = (
            0 if data.endswith(b"\n") else max((_begun(secret, data) for secret in self._secrets), default=0)
        )
        self._held = data[len(data) - size :]
        return data[:-size] if size else data

    def rest(self) -> bytes:
        """What was held back when the answer ended."""
        held, self._held = self._held, b""
        return held

    def whole(self, data: bytes) -> bytes:
        """All of `data` but the secrets in it."""
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, CUT)
        return data


def _secrets(headers: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    """As they are, and as they stand in JSON."""
    found: set[bytes] = set()
    for name, value in headers:
        secret = value.removeprefix(b"Bearer ")
        if name in _OPENING and len(secret) >= SHORTEST:
            escaped = msgspec.json.encode(secret.decode("latin-1"))[1:-1]
            found |= {secret, escaped, escaped.replace(b"/", b"\\/")}
    return tuple(sorted(found, key=len, reverse=True))


def _begun(secret: bytes, data: bytes) -> int:
    """How many bytes at the end of `data` are the beginning of `secret`."""
    for size in range(min(len(secret) - 1, len(data)), 0, -1):
        if data.endswith(secret[:size]):
            return size
    return 0
