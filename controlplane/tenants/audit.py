"""The audit trail: every admin mutation, in a chain of hashes that shows what was changed, removed or cut off."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from controlplane.store import audit as store
from controlplane.store.db import Database
from controlplane.tenants.accounts import audit_hash
from controlplane.tenants.cursor import number_of, page
from controlplane.tenants.model import AuditEntry, AuditSummary
from flockpy.clock import Clock
from flockpy.security import redact

_TOP = 10


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """`checked` entries were read; `first_bad` is the id of the first that is not what was written, or is gone."""

    ok: bool
    checked: int
    first_bad: str | None = None


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
        """Recompute the chain from the first entry to the end that is noted beside the table."""
        previous = b""
        number = 0
        async with store.audit_snapshot(self._database) as chain:
            async for entry in chain.entries():
                number += 1
                expected = audit_hash(
                    previous, number, entry.time, entry.actor, entry.action, entry.target, entry.detail
                )
                said = bytes.fromhex(entry.previous_hash), bytes.fromhex(entry.hash)
                if entry.id != f"a_{number}" or said != (previous, expected) or number > chain.head.entries:
                    return AuditVerification(False, number, f"a_{number}")
                previous = expected
            if (number, previous) != (chain.head.entries, chain.head.hash):
                return AuditVerification(False, number, f"a_{number + 1}")
        return AuditVerification(True, number)
