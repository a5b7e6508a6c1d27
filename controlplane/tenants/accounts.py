"""What makes loss and tampering show: totals and chains over usage records and audit entries. Pure."""

import hashlib

import msgspec

from controlplane.tenants.model import UsageRecord


class Position(msgspec.Struct, frozen=True, order=True):
    """A place in the journal: segment number (from 1) and byte offset in it."""

    segment: int = 0
    offset: int = 0


class Totals(msgspec.Struct, frozen=True):
    """The sum of every record that ever entered the table, kept beside it and committed with it.

    `chain` is SHA-256 over the chain before and the record: a row changed or gone later is noticed even
    when no journal segment speaks of it any more.
    """

    records: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    chain: bytes = b""


class Drained(msgspec.Struct, frozen=True):
    """What the table has taken from the journal: everything before `position`, adding up to `totals`."""

    position: Position = Position()
    totals: Totals = Totals()


class AuditHead(msgspec.Struct, frozen=True):
    """The newest audit entry, kept beside the table: entries cut off its end are noticed by it."""

    entries: int = 0
    hash: bytes = b""


def add(totals: Totals, *records: UsageRecord) -> Totals:
    """`totals` with these records, the next rows of the table."""
    chain = totals.chain
    for record in records:
        text = msgspec.json.encode(msgspec.structs.astuple(record))
        chain = hashlib.sha256(chain + text).digest()
    return Totals(
        totals.records + len(records),
        totals.prompt_tokens + sum([record.prompt_tokens for record in records]),
        totals.completion_tokens + sum([record.completion_tokens for record in records]),
        totals.cached_tokens + sum([record.cached_tokens for record in records]),
        chain,
    )


def audit_hash(
    previous: bytes, number: int, time: float, actor: str, action: str, target: str, detail: str
) -> bytes:
    """SHA-256 over the hash of the entry before and everything that entry `number` (from 1) says."""
    text = msgspec.json.encode((number, time, actor, action, target, detail))
    return hashlib.sha256(previous + text).digest()
