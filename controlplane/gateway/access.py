"""Whose request this is: the key it presents, or nobody's where keys are not required."""

from collections.abc import Sequence

from controlplane.tenants.access import is_local, presented_keys
from controlplane.tenants.keyring import Keyring
from controlplane.tenants.model import Key


class Authenticator:
    """Called with a request's headers (names in lower case) and its client's address; answers the key, None for a
    local caller where `require_keys` is off."""

    def __init__(self, keyring: Keyring, *, require_keys: bool) -> None:
        self._keyring = keyring
        self._require_keys = require_keys

    def __call__(self, headers: Sequence[tuple[bytes, bytes]], client: str) -> Key | None:
        """Raises Unauthenticated."""
        presented = presented_keys(headers)
        if not presented and not self._require_keys:
            named = {name: value.decode("latin-1") for name, value in headers}
            if is_local(client, named.get(b"host", ""), named.get(b"origin")):
                return None
        return self._keyring.authenticate(*presented)
