"""What the admin surface works on; put together by the composition root."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from controlplane.cluster.join import JoinTokens
from controlplane.cluster.store import Cluster
from controlplane.tenants.model import Key, Scope
from flockpy.clock import Clock
from flockpy.config import Config
from flockpy.ids import Entropy


class Keyring(Protocol):
    """The API keys, as far as this surface needs them."""

    def authenticate(self, presented: str) -> Key:
        """Raises Unauthenticated when the key is empty, unknown, revoked or expired."""
        ...

    def list(self) -> tuple[Key, ...]: ...

    async def create(
        self,
        name: str,
        scope: Scope,
        *,
        daily_token_quota: int | None = None,
        models: frozenset[str] | None = None,
        expires_at: float | None = None,
        subject: str = "",
    ) -> tuple[Key, str]: ...

    async def revoke(self, key_id: str) -> Key: ...


class AuditTrail(Protocol):
    """Where every admin mutation is written down."""

    async def record(self, actor: str, action: str, target: str, detail: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Services:
    """`ready` answers why the leader is not ready, or None; `metrics` the Prometheus text."""

    config: Config
    cluster: Cluster
    keyring: Keyring
    join_tokens: JoinTokens
    audit: AuditTrail
    clock: Clock
    entropy: Entropy
    version: str
    started_at: float
    ready: Callable[[], str | None]
    metrics: Callable[[], bytes]


Needs = NamedDependency[SkipValidation[Services]]
"""The type of a handler's `services` argument."""
