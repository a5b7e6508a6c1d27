"""Does the usage table hold what was metered? Three accounts of the same records are held against each other.

The table is added up again and compared with the totals and the chain that were committed with each batch:
a row lost, added, repeated or changed since shows there, however old it is. The journal's segments that are
still on disk are compared with the table record by record, which names what differs.
"""

import msgspec

from controlplane.store import usage as store
from controlplane.store.db import Database
from controlplane.tenants.accounts import Position, Totals
from controlplane.tenants.journal import Journal
from controlplane.tenants.lines import closed_in

NAMED = 100


class Verification(msgspec.Struct, frozen=True):
    """`records` and tokens are the table's, added up now; `expected_…` what was committed to it.

    `journal_records` of them stood in the journal and were compared one by one, `pending` are closed and
    not in the table yet. `missing` and `altered` name requests, at most `NAMED` each; `problems` says in
    words all that is wrong, and is empty when `ok`.
    """

    ok: bool
    records: int
    prompt_tokens: int
    completion_tokens: int
    expected_records: int
    expected_prompt_tokens: int
    expected_completion_tokens: int
    journal_records: int
    pending: int
    duplicates: int
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    problems: tuple[str, ...]


async def verify_usage(database: Database, journal: Journal, drained: Position) -> Verification:
    """Compare table, totals and journal; nothing may be drained meanwhile. Raises DatabaseTrouble."""
    count = await store.recount_usage(database)
    totals, expected = count.found, count.committed
    compared = pending = damaged = 0
    missing: list[str] = []
    altered: list[str] = []
    position = Position()
    while (chunk := journal.read(position, drained)).after != position:
        records = closed_in(chunk.payloads)
        compared += len(records)
        damaged += chunk.damaged
        known = await store.known_usage(database, [record.request_id for record in records])
        for record in records:
            if (kept := known.get(record.request_id)) is None:
                missing.append(record.request_id)
            elif kept != record:
                altered.append(record.request_id)
        position = chunk.after
    while (chunk := journal.read(position)).after != position:
        pending += len(closed_in(chunk.payloads))
        position = chunk.after
    problems = (
        *_differences(totals, expected),
        *([f"{count.repeated} rows repeat a request id"] if count.repeated else []),
        *([f"{len(missing)} records of the journal are not in the table"] if missing else []),
        *([f"{damaged} lines of the journal are damaged"] if damaged else []),
        *([f"{len(altered)} records differ from the journal"] if altered else []),
    )
    return Verification(
        ok=not problems,
        records=totals.records,
        prompt_tokens=totals.prompt_tokens,
        completion_tokens=totals.completion_tokens,
        expected_records=expected.records,
        expected_prompt_tokens=expected.prompt_tokens,
        expected_completion_tokens=expected.completion_tokens,
        journal_records=compared,
        pending=pending,
        duplicates=count.repeated,
        missing=tuple(missing[:NAMED]),
        altered=tuple(altered[:NAMED]),
        problems=problems,
    )


def _differences(table: Totals, expected: Totals) -> list[str]:
    pairs = (
        ("records", table.records, expected.records),
        ("prompt tokens", table.prompt_tokens, expected.prompt_tokens),
        ("completion tokens", table.completion_tokens, expected.completion_tokens),
        ("cached tokens", table.cached_tokens, expected.cached_tokens),
    )
    found = [
        f"the table holds {now} {what}, {then} were committed" for what, now, then in pairs if now != then
    ]
    if not found and table.chain != expected.chain:
        found.append("the table adds up, but records in it are not what was committed")
    return found
