"""Reading what was used: recent records, aggregates, everything."""

from collections.abc import AsyncGenerator

from controlplane.store import usage as store
from controlplane.store.db import Database
from controlplane.store.usage_summary import summarise_usage
from controlplane.tenants.cursor import number_of, page
from controlplane.tenants.model import UsageRecord, UsageSummary
from flockpy.clock import Clock

_TOP = 10


class Usage:
    """All calls raise DatabaseTrouble. A record shows here about a second after its request ended."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def recent(
        self, limit: int, cursor: str | None = None, user: str | None = None
    ) -> tuple[list[UsageRecord], str | None]:
        """At most `limit` records, newest first, and the cursor of the next page.

        Raises BadRequest when `cursor` is none of ours.
        """
        rows = await store.newest_usage(self._database, limit + 1, number_of(cursor), user)
        return page(rows, limit)

    async def summary(self, since: float) -> UsageSummary:
        """The aggregate of what was admitted at or after `since`, in seconds since the epoch."""
        return await summarise_usage(self._database, since, self._clock.wall(), _TOP)

    async def find(self, request_id: str) -> UsageRecord | None:
        """The record of one request."""
        return (await store.known_usage(self._database, [request_id])).get(request_id)

    async def export(self) -> AsyncGenerator[UsageRecord]:
        """Every record, oldest first."""
        after = 0
        while rows := await store.oldest_usage(self._database, after):
            after = rows[-1][0]
            for _, record in rows:
                yield record
