"""The aggregates over usage records, computed by the database in its own thread: no row comes here for them."""

from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from controlplane.store.db import Database
from controlplane.tenants.model import ModelUsage, UsageSummary

MINUTES = 60

_TOTALS = text("""
    SELECT count(*), total(prompt_tokens), total(completion_tokens), total(cached_tokens),
           count(*) FILTER (WHERE outcome IN ('refused', 'failed')),
           count(*) FILTER (WHERE outcome = 'ok'), total(cost_usd)
    FROM usage WHERE time >= :since
""")
_MODELS = text("""
    SELECT model, count(*) AS requests, sum(prompt_tokens + completion_tokens), total(cost_usd)
    FROM usage WHERE time >= :since GROUP BY model ORDER BY requests DESC, model LIMIT :top
""")
_LATENCIES = text("""
    SELECT number, duration_ms FROM (
        SELECT duration_ms, row_number() OVER (ORDER BY duration_ms) AS number
        FROM usage WHERE time >= :since AND outcome = 'ok'
    ) WHERE number IN (:p50, :p95, :p99)
""")
_PER_MINUTE = text("""
    SELECT CAST((time - :start) / 60 AS INTEGER) AS minute, count(*)
    FROM usage WHERE time >= :start AND time < :now GROUP BY minute
""")


async def summarise_usage(database: Database, since: float, now: float, top: int) -> UsageSummary:
    """What was used since `since`; at most `top` models. Both times in seconds since the epoch."""

    async def work(session: AsyncSession) -> UsageSummary:
        [(requests, prompt, completion, cached, bad, good, cost)] = await _rows(session, _TOTALS, since=since)
        models = await _rows(session, _MODELS, since=since, top=top)
        ranks = {f"p{share}": _rank(share, good) for share in (50, 95, 99)}
        latencies = dict(await _rows(session, _LATENCIES, since=since, **ranks)) if good else {}
        start = now - MINUTES * 60
        minutes = dict(await _rows(session, _PER_MINUTE, start=start, now=now))
        return UsageSummary(
            since=since,
            requests=requests,
            prompt_tokens=int(prompt),
            completion_tokens=int(completion),
            cached_tokens=int(cached),
            cost_usd=cost,
            models=tuple(ModelUsage(*row) for row in models),
            p50_ms=latencies.get(ranks["p50"]),
            p95_ms=latencies.get(ranks["p95"]),
            p99_ms=latencies.get(ranks["p99"]),
            error_rate=bad / requests if requests else 0.0,
            requests_per_minute=tuple(minutes.get(minute, 0) for minute in range(MINUTES)),
        )

    return await database.read(work)


def _rank(percent: int, count: int) -> int:
    """Which of `count` sorted values (from 1) is that percentile: the nearest-rank definition."""
    return max(1, -(-percent * count // 100))


async def _rows(session: AsyncSession, statement: Any, **values: float) -> list[tuple[Any, ...]]:
    connection = await session.connection()
    return [tuple(row) for row in await connection.execute(statement, values)]
