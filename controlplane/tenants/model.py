"""What tenancy speaks of: keys, usage records, audit entries. Pure."""

from dataclasses import dataclass
from typing import Literal

import msgspec

LOCAL_USER = "local"
"""The user of requests without a key, where keys are not required."""

Scope = Literal["admin", "user", "node"]
Surface = Literal[
    "chat", "completions", "embeddings", "messages", "ollama", "rerank", "responses", "transcriptions"
]
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
    `cost_usd` is what a vendor takes for it, None where the cluster answered or the price is not known.
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


class ModelUsage(msgspec.Struct, frozen=True):
    """`tokens` are prompt and completion together, `cost_usd` what vendors take for them."""

    model: str
    requests: int
    tokens: int
    cost_usd: float = 0.0


class UsageSummary(msgspec.Struct, frozen=True):
    """What was used since `since` (seconds since the epoch).

    `models`: the most asked first. Latencies are those of answers that came to a good end, None when there
    were none. `error_rate` is the share of requests that were refused or failed, 0 to 1.
    `cost_usd` is what vendors take by the catalog's prices; what the cluster answers itself costs nothing.
    `requests_per_minute`: the last 60 minutes, oldest first, whatever `since` says.
    """

    since: float
    requests: int
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: float
    models: tuple[ModelUsage, ...]
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    error_rate: float
    requests_per_minute: tuple[int, ...]


class AuditEntry(msgspec.Struct, frozen=True):
    """One admin mutation. `detail` is JSON text; hashes are hexadecimal, `hash` covers all the rest."""

    id: str
    time: float
    actor: str
    action: str
    target: str
    detail: str
    hash: str
    previous_hash: str


class AuditSummary(msgspec.Struct, frozen=True):
    """How often who did what, the most frequent first."""

    entries: int
    actors: dict[str, int]
    actions: dict[str, int]


class AuditVerification(msgspec.Struct, frozen=True):
    """`checked` entries were read; `first_bad` is the id of the first that is not what was written, or is gone."""

    ok: bool
    checked: int
    first_bad: str | None = None
