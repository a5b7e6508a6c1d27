"""Exactly one usage record for each admitted request, whatever dies in between.

Life of a record: `open` notes for the journal that the request is admitted, `close` notes the
record itself, `flush` writes both before the client has the last byte, `run` carries closed ones over into
the table. After a crash `recover` reads the journal again: closed records that the table lacks are added, and
a request that was opened and never closed becomes a record of a failure.

The journal is the buffer: records wait there, not in memory, while the table cannot take them. Only while
the journal itself cannot be written do entries wait in memory (`degraded` then says why), and past
`WAITING_LIMIT` of them nothing more is admitted: what could not be accounted for is not served.
"""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from controlplane.store import usage as store
from controlplane.store.db import Database, DatabaseTrouble
from controlplane.tenants.accounts import Position
from controlplane.tenants.journal import Chunk, Journal
from controlplane.tenants.lines import Entry, Opened, as_read, closed_in, cut_off, lines_of, opened_in
from controlplane.tenants.model import UsageRecord
from controlplane.tenants.verification import Verification, verify_usage
from flockpy.errors import Overloaded, StartError

log = logging.getLogger(__name__)

SEGMENT_BYTES = 8 * 2**20
WAITING_LIMIT = 50_000
BATCH = 5000
"""Records to a transaction, which itself costs as much as some hundred of them; see `run`."""
INTERVAL_S = 1.0
_PIECE = 100


@dataclass(frozen=True, slots=True)
class Recovery:
    """`records` were carried over from the journal, `unfinished` of them written for requests cut off."""

    records: int
    unfinished: int


class Ledger:
    """Call `recover` before the first request, keep `run` running, call `stop` last.

    `open`, `close` and `flush` touch memory and the journal only.
    """

    def __init__(self, database: Database, journal: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Raises StartError when the directory `journal` cannot be made or read."""
        self._database = database
        self._open: dict[str, Opened] = {}
        try:
            self._journal = Journal(journal, lambda: lines_of(self._open.values()), segment_bytes)
        except OSError as error:
            raise StartError(f"The usage journal {journal} cannot be used: {error}") from error
        self._buffer: list[Entry] = []
        self._waiting: deque[Entry] = deque()
        self._position = self._journal.end
        self._recovered = False
        self._pending = 0
        self._some = asyncio.Event()
        self._many = asyncio.Event()
        self._draining = asyncio.Lock()
        self._journal_trouble: str | None = None
        self._spare_trouble: str | None = None
        self._table_trouble: str | None = None

    @property
    def degraded(self) -> str | None:
        """Why records are not where they should be by now; None when all is well."""
        return self._journal_trouble or self._table_trouble or self._spare_trouble

    def open(self, opened: Opened) -> None:
        """Note an admitted request, as `close` does a record.

        Raises Overloaded when too many entries wait for a journal that cannot be written.
        """
        if len(self._waiting) >= WAITING_LIMIT:
            raise Overloaded(f"Usage cannot be recorded: {self.degraded}", retry_after=10)
        self._open[opened.request_id] = opened
        if not self._buffer:
            self._flush_soon()
        self._buffer.append(opened)

    def close(self, record: UsageRecord) -> None:
        """Note the record of a request opened before; it is written by `flush`, at the end of this turn of the loop
        at the latest."""
        if not self._buffer:
            self._flush_soon()
        self._buffer.append(record)
        self._pending += 1
        if self._pending == 1:
            self._some.set()
        elif self._pending == BATCH:
            self._many.set()

    def flush(self) -> None:
        """Write what was noted: it outlives the process when this returns.

        (While the journal cannot be written it waits in memory instead; see `degraded`.)
        """
        buffer = self._buffer
        if not buffer:
            return
        if self._waiting:  # in order: first what waits already, and `run` tries that again
            self._waiting.extend(buffer)
        else:
            self._write(buffer)
        self._buffer = []  # only now: what broke is tried again, and before any answer

    def _flush_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self.flush)

    def _write(self, entries: list[Entry]) -> None:
        try:
            self._journal.append(lines_of(entries))
        except OSError as error:
            self._journal_trouble = f"the usage journal cannot be written: {error}"
            self._waiting.extend(entries)
            self._some.set()
            return
        self._journal_trouble = None
        for entry in entries:
            if type(entry) is UsageRecord:
                self._open.pop(entry.request_id, None)

    async def run(self) -> None:
        """Carry records over into the table, `BATCH` at a time or after `INTERVAL_S`, until cancelled."""
        while True:
            await self._some.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_S):
                    await self._many.wait()
            try:
                await self.drain()
            except DatabaseTrouble as error:
                log.warning("usage records wait in the journal: %s", error.message)
            if self.degraded is not None:
                self._some.set()
                await asyncio.sleep(INTERVAL_S)

    async def drain(self) -> None:
        """Carry over everything closed so far. After DatabaseTrouble nothing is lost: call it again."""
        async with self._draining:
            self._some.clear()
            self._many.clear()
            self._pending = 0
            try:
                self.flush()
                self._retry()
                await self._carry_over()
                self._table_trouble = None
            except DatabaseTrouble as error:
                self._table_trouble = f"usage records wait in the journal: {error.message}"
                self._some.set()
                raise
            finally:
                await self._tidy()

    async def recover(self) -> Recovery:
        """Bring the table up to date with what an earlier process left in the journal.

        While the table cannot take it, it stays in the journal, and `run` goes on trying (see `degraded`).
        Raises StartError when table or journal cannot be read.
        """
        try:
            before = await store.load_drained(self._database)
            unfinished = self._unfinished()
        except (DatabaseTrouble, OSError) as error:
            hint = error.hint if isinstance(error, DatabaseTrouble) else None
            raise StartError(f"The usage journal cannot be carried over: {error}", hint=hint) from error
        except msgspec.DecodeError as error:
            raise StartError(
                f"The usage journal was written by another version of flockpy: {error}",
                hint="start that version once more: it carries over what it wrote",
            ) from error
        self._recovered = True
        # a position that this journal has not reached is that of another one, which is gone
        self._position = before.position if before.position <= self._journal.end else Position()
        for opened in unfinished:
            self._open[opened.request_id] = opened
            self._waiting.append(cut_off(opened))
        after = before
        try:
            await self.drain()
            after = await store.append_usage(self._database, (), self._position)
        except DatabaseTrouble as error:
            log.warning("usage records wait in the journal: %s", error.message)
        return Recovery(after.totals.records - before.totals.records, len(unfinished))

    def _unfinished(self) -> list[Opened]:
        """The requests that the journal knows to be admitted and not to be closed."""
        unfinished: dict[str, Opened] = {}
        position = Position()
        while (chunk := self._journal.read(position)).after != position:
            for opened in opened_in(chunk.payloads):
                unfinished[opened.request_id] = opened
            for record in closed_in(chunk.payloads):
                unfinished.pop(record.request_id, None)
            position = chunk.after
        return list(unfinished.values())

    async def verify(self) -> Verification:
        """Hold table, totals and journal against each other. Raises DatabaseTrouble."""
        async with self._draining:
            self.flush()
            self._retry()
            await self._carry_over()
            return await verify_usage(self._database, self._journal, self._position)

    async def stop(self) -> None:
        """Carry over what is left, once nothing is in flight and `run` has ended; give up the journal's file.

        What the table cannot take stays in the journal for the next start; after a failed `recover` that is all of it.
        """
        try:
            if self._recovered:
                await self.drain()
        except DatabaseTrouble as error:
            log.warning("usage records are left in the journal for the next start: %s", error.message)
        finally:
            self._journal.close()

    def _retry(self) -> None:
        """Write the entries that wait in memory, a piece at a time."""
        if not self._waiting:
            return
        entries, trouble = list(self._waiting), self._journal_trouble
        self._waiting.clear()
        for start in range(0, len(entries), _PIECE):
            self._write(entries[start : start + _PIECE])
            if self._waiting:
                self._waiting.extend(entries[start + _PIECE :])
                return
        if trouble is not None:
            log.warning("the usage journal can be written again; %d lines had waited", len(entries))

    async def _carry_over(self) -> None:
        until = (
            self._journal.end
        )  # what comes meanwhile waits for the next time: a transaction is dear, a row is not
        more = True
        while more:
            position, records = self._position, list[UsageRecord]()
            while more and len(records) < BATCH:
                chunk = self._journal.read(position, until)
                more, position = chunk.after != position, chunk.after
                records += closed_in(chunk.payloads)
                self._warn_of(chunk)
                await asyncio.sleep(0)  # requests need not wait until all is read
            if records:
                await store.append_usage(self._database, records, position)
            self._position = position
        # what the journal would not take goes straight into the table
        while records := as_read(
            [entry for entry in self._waiting if isinstance(entry, UsageRecord)][:BATCH]
        ):
            await store.append_usage(self._database, records, None)
            for record in records:
                self._open.pop(record.request_id, None)
            self._waiting = deque(entry for entry in self._waiting if entry.request_id in self._open)

    def _warn_of(self, chunk: Chunk) -> None:
        if chunk.damaged:
            log.warning("%d damaged lines of the usage journal were left out", chunk.damaged)

    async def _tidy(self) -> None:
        try:
            await asyncio.to_thread(self._journal.tidy, self._position.segment)
            self._spare_trouble = None
        except OSError as error:
            self._spare_trouble = f"there is no room for the usage journal to grow: {error}"
