"""Whose request this is: the key it presents, or nobody's where keys are not required."""

from typing import Any

from controlplane.tenants.access import is_local, presented_keys
from controlplane.tenants.keyring import Keyring
from controlplane.tenants.model import Key


class Authenticator:
    """Called with an ASGI scope; answers the key, None for a local caller where `require_keys` is off."""

    def __init__(self, keyring: Keyring, *, require_keys: bool) -> None:
        self._keyring = keyring
        self._require_keys = require_keys

    def __call__(self, scope: dict[str, Any]) -> Key | None:
        """Raises Unauthenticated."""
        presented = presented_keys(scope["headers"])
        if not presented and not self._require_keys and self._local(scope):
            return None
        return self._keyring.authenticate(*presented)

    def _local(self, scope: dict[str, Any]) -> bool:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        client = scope.get("client")
        return is_local(client[0] if client else "", headers.get(b"host", ""), headers.get(b"origin"))
