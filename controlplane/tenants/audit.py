"""The audit trail: every admin mutation, in a chain of hashes that shows what was changed, removed or cut off."""

from collections.abc import AsyncGenerator

from controlplane.store import audit as store
from controlplane.store.db import Database
from controlplane.tenants.cursor import number_of, page
from controlplane.tenants.model import AuditEntry, AuditSummary, AuditVerification
from flockpy.clock import Clock
from flockpy.security import redact

_TOP = 10


class Audit:
    """All calls raise DatabaseTrouble."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def record(self, actor: str, action: str, target: str, detail: str) -> None:
        """Write down that `actor` did `action` to `target`; `detail` is JSON text. Keys in it are cut short."""
        texts = redact(actor), redact(action), redact(target), redact(detail)
        await store.append_audit(self._database, self._clock.wall(), *texts)

    async def recent(
        self, limit: int, cursor: str | None = None, actor: str | None = None
    ) -> tuple[list[AuditEntry], str | None]:
        """At most `limit` entries, newest first, and the cursor of the next page.

        Raises BadRequest when `cursor` is none of ours.
        """
        rows = await store.newest_audit(self._database, limit + 1, number_of(cursor), actor)
        return page(rows, limit)

    async def summary(self) -> AuditSummary:
        """The most frequent actors and actions."""
        return await store.summarise_audit(self._database, _TOP)

    async def export(self) -> AsyncGenerator[AuditEntry]:
        """Every entry, oldest first."""
        after = 0
        while rows := await store.oldest_audit(self._database, after):
            after = rows[-1][0]
            for _, entry in rows:
                yield entry

    async def verify(self) -> AuditVerification:
        """Recompute the whole chain."""
        return await store.verify_audit(self._database)
