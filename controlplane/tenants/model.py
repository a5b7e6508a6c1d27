"""What tenancy speaks of: keys and usage records. Pure."""

from dataclasses import dataclass
from typing import Literal

import msgspec

Scope = Literal["admin", "user", "node"]
Surface = Literal["chat", "completions", "embeddings"]
TokensSource = Literal["engine", "counted", "estimated"]
Outcome = Literal["ok", "cancelled", "refused", "failed"]


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as the leader keeps it: never the plaintext. Times are seconds since the epoch.

    `models` None allows all; `daily_token_quota` None is unlimited, and counts prompt + completion tokens of
    a UTC day.
    `subject` is the node id of a node-scope key, else "".
    """

    id: str
    name: str
    scope: Scope
    prefix: str
    hash: bytes
    created_at: float
    daily_token_quota: int | None = None
    models: frozenset[str] | None = None
    expires_at: float | None = None
    revoked_at: float | None = None
    subject: str = ""


class UsageRecord(msgspec.Struct, frozen=True):
    """One for each admitted request, on every exit path. `time` is its admission, seconds since the epoch.

    `tokens_source`: ``engine`` (its own usage object), ``counted`` (chunks the gateway saw), ``estimated``.
    `status` is the HTTP status the client got. Token counts of a request that never reached an engine are 0.
    """

    request_id: str
    time: float
    key_id: str
    user: str
    model: str
    node_id: str
    surface: Surface
    stream: bool
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    tokens_source: TokensSource
    queue_ms: float
    ttft_ms: float | None
    duration_ms: float
    outcome: Outcome
    status: int
    cost_usd: float | None = None
