"""What the gateway tells of its requests: those on their way, and the receipts of those that lately ended."""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from controlplane.routing.policy import Considered
from controlplane.tenants.model import Outcome, Surface, TokensSource

Stage = Literal["queued", "prefilling", "generating", "sending", "completed", "cancelled", "failed"]


class Attempt(msgspec.Struct, frozen=True):
    """One try: why there, and what came of it (`error` "" is good). A vendor has no placement: it is the `node_id`."""

    model_id: str
    placement_id: str
    node_id: str
    reason: str
    error: str
    candidates: tuple[Considered, ...]


class LiveRequest(msgspec.Struct, frozen=True):
    """A request so far. `time` is its admission, seconds since the epoch; `asked_model` what the client wrote.

    `error`: what its client was told instead of an answer. `position` (from 1) and `eta_s` while it is queued. Token
    counts are None until they are known.
    """

    request_id: str
    time: float
    key_id: str
    user: str
    asked_model: str
    model: str
    node_id: str
    surface: Surface
    stream: bool
    stage: Stage
    queue_ms: float
    duration_ms: float
    ttft_ms: float | None = None
    position: int | None = None
    eta_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    tokens_source: TokensSource | None = None
    cost_usd: float | None = None
    outcome: Outcome | None = None
    status: int | None = None
    error: str = ""
    hops: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class LiveRequests(Protocol):
    """The gateway's requests."""

    def list(self) -> Sequence[LiveRequest]:
        """Those on their way, oldest first."""
        ...

    def get(self, request_id: str) -> LiveRequest | None:
        """One on its way or lately ended."""
        ...

    def cancel(self, request_id: str, by: str) -> bool:
        """Give it up, for `by`; False when it is not on its way (any more)."""
        ...
