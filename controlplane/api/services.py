"""What the admin surface works on; put together by the composition root."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from controlplane.api.live import LiveRequests
from controlplane.cluster.join import JoinTokens
from controlplane.cluster.operations import Operations
from controlplane.cluster.store import Cluster
from controlplane.egress.troubles import Troubles
from controlplane.routing.table import RoutingTable
from controlplane.tenants.audit import Audit
from controlplane.tenants.keyring import Keyring
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.usage import Usage
from flockpy.clock import Clock
from flockpy.config import Config
from flockpy.ids import Entropy
from flockpy.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """`vendors`: the names of those that may be asked. `store_trouble` answers why the store cannot be used, or None;
    `metrics` the Prometheus text. `started_at` is seconds since the epoch.
    """

    settings: Settings
    cluster: Cluster
    vendors: Sequence[str]
    troubles: Troubles
    table: Callable[[], RoutingTable]
    operations: Operations
    keyring: Keyring
    join_tokens: JoinTokens
    audit: Audit
    ledger: Ledger
    usage: Usage
    requests: LiveRequests
    clock: Clock
    entropy: Entropy
    version: str
    started_at: float
    store_trouble: Callable[[], Awaitable[str | None]]
    metrics: Callable[[], bytes]

    @property
    def config(self) -> Config:
        return self.settings.config


Needs = NamedDependency[SkipValidation[Services]]
"""The type of a handler's `services` argument."""
