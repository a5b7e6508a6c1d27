"""Usage and the audit trail: recent entries, aggregates, everything as CSV or JSON lines, and their verification."""

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Literal

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import Stream

from controlplane.api.paging import Limit
from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from controlplane.api.shapes import Page, rfc3339
from controlplane.tenants.model import (
    AuditEntry,
    AuditSummary,
    AuditVerification,
    ModelUsage,
    Outcome,
    Surface,
    TokensSource,
    UsageRecord,
    UsageSummary,
)
from controlplane.tenants.verification import Verification

DAY_S = 86400.0
BATCH = 500

Format = Annotated[
    Literal["csv", "jsonl"], QueryParameter(description="CSV with a header line, or JSON lines.")
]
RowCursor = Annotated[
    str | None, QueryParameter(description="`next_cursor` of the page before.", pattern=r"^[0-9]{1,18}$")
]
_EXPORTED = ("application/x-ndjson", "text/csv")


class UsageEntry(msgspec.Struct, frozen=True):
    """One request as it was metered. `tokens_source`: the engine's own count, counted here, or estimated.

    `cost_usd`: what a vendor takes for it; null where the cluster answered or the price is not known.
    """

    request_id: str
    time: str
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
    cost_usd: float | None


class Summary(msgspec.Struct, frozen=True):
    """The aggregate since `since`. Latencies are of answers that came to a good end; `error_rate` is 0 to 1.

    `requests_per_minute`: the last hour, oldest first. `cost_usd`: what vendors take by the catalog's prices.
    """

    since: str
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


class TrailEntry(msgspec.Struct, frozen=True):
    """One admin mutation. `detail` is JSON text; hashes are hexadecimal, and each covers the one before."""

    id: str
    time: str
    actor: str
    action: str
    target: str
    detail: str
    hash: str
    previous_hash: str


@read(f"{ADMIN}/usage/recent", "Recent usage, the latest first")
async def usage_recent(
    services: Needs,
    limit: Limit = 100,
    cursor: RowCursor = None,
    user: Annotated[str | None, QueryParameter(description="Only this user's.")] = None,
) -> Page[UsageEntry]:
    records, following = await services.usage.recent(limit, cursor, user)
    return Page([_usage(record) for record in records], following)


@read(f"{ADMIN}/usage/summary", "Usage in aggregate")
async def usage_summary(
    services: Needs,
    since_s: Annotated[float, QueryParameter(gt=0, le=1e9, description="How far back, in seconds.")] = DAY_S,
) -> Summary:
    return _summary(await services.usage.summary(services.clock.wall() - since_s))


@read(f"{ADMIN}/usage/export", "All usage", kinds=_EXPORTED)
async def usage_export(services: Needs, format: Format = "jsonl") -> Stream:
    rows = (_usage(record) async for record in services.usage.export())
    return await _export(rows, UsageEntry.__struct_fields__, format)


@read(f"{ADMIN}/usage/verify", "Hold the journal against the table")
async def usage_verify(services: Needs) -> Verification:
    return await services.ledger.verify()


@read(f"{ADMIN}/audit/recent", "Recent admin actions, the latest first")
async def audit_recent(
    services: Needs,
    limit: Limit = 100,
    cursor: RowCursor = None,
    actor: Annotated[str | None, QueryParameter(description="Only this actor's.")] = None,
) -> Page[TrailEntry]:
    entries, following = await services.audit.recent(limit, cursor, actor)
    return Page([_entry(entry) for entry in entries], following)


@read(f"{ADMIN}/audit/summary", "Who did what how often")
async def audit_summary(services: Needs) -> AuditSummary:
    return await services.audit.summary()


@read(f"{ADMIN}/audit/export", "The whole audit trail", kinds=_EXPORTED)
async def audit_export(services: Needs, format: Format = "jsonl") -> Stream:
    rows = (_entry(entry) async for entry in services.audit.export())
    return await _export(rows, TrailEntry.__struct_fields__, format)


@read(f"{ADMIN}/audit/verify", "Check the chain of hashes")
async def audit_verify(services: Needs) -> AuditVerification:
    return await services.audit.verify()


HANDLERS: list[HTTPRouteHandler] = [
    usage_recent, usage_summary, usage_export, usage_verify,
    audit_recent, audit_summary, audit_export, audit_verify,
]  # fmt: skip


def _usage(record: UsageRecord) -> UsageEntry:
    return msgspec.convert({**msgspec.structs.asdict(record), "time": rfc3339(record.time)}, UsageEntry)


def _summary(summary: UsageSummary) -> Summary:
    return msgspec.convert({**msgspec.structs.asdict(summary), "since": rfc3339(summary.since)}, Summary)


def _entry(entry: AuditEntry) -> TrailEntry:
    return msgspec.convert({**msgspec.structs.asdict(entry), "time": rfc3339(entry.time)}, TrailEntry)


async def _export(rows: AsyncIterator[msgspec.Struct], columns: tuple[str, ...], format: str) -> Stream:
    """The answer that carries all rows. What goes wrong before the first of them still becomes an error answer."""
    chunks = _csv(rows, columns) if format == "csv" else _json_lines(rows)
    first = await anext(chunks, b"")

    async def all_chunks() -> AsyncGenerator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    kind = "text/csv; header=present" if format == "csv" else "application/x-ndjson"
    return Stream(all_chunks(), media_type=kind)


async def _json_lines(rows: AsyncIterator[msgspec.Struct]) -> AsyncGenerator[bytes]:
    async for batch in _batches(rows):
        yield b"".join(msgspec.json.encode(row) + b"\n" for row in batch)


async def _csv(rows: AsyncIterator[msgspec.Struct], columns: tuple[str, ...]) -> AsyncGenerator[bytes]:
    yield (",".join(columns) + "\r\n").encode()
    async for batch in _batches(rows):
        text = io.StringIO()
        csv.writer(text).writerows(msgspec.structs.astuple(row) for row in batch)
        yield text.getvalue().encode()


async def _batches(rows: AsyncIterator[msgspec.Struct]) -> AsyncGenerator[list[msgspec.Struct]]:
    batch: list[msgspec.Struct] = []
    async for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
