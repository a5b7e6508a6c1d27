"""A leader's metering as a process of its own, for tests that kill it: admits and settles without end.

Each thing done is told on stdout, in one write, after it is done: ``o ID`` for an admission whose turn of the
loop is over, ``c ID PROMPT COMPLETION`` for a settled one.
"""

import asyncio
import os
import random
import secrets
import sys
from pathlib import Path

from controlplane.store.db import open_database
from controlplane.tenants import ledger as ledger_module
from controlplane.tenants.ledger import Ledger
from controlplane.tenants.meter import Admission, Meter
from flockpy.clock import SystemClock
from flockpy.ids import RequestIds
from tests.unit.controlplane.helpers import a_record, a_ticket


def tell(text: str) -> None:
    os.write(1, f"{text}\n".encode())


async def main(directory: Path) -> None:
    ledger_module.INTERVAL_S = 0.02  # many transactions for the signal to fall into
    ledger_module.BATCH = 50
    database = await open_database(directory / "state.db", directory / "backups", SystemClock())
    ledger = Ledger(database, directory / "journal", segment_bytes=32 * 2**10)
    await ledger.recover()
    meter = Meter(ledger, database, SystemClock())
    await meter.load()
    draining = asyncio.create_task(ledger.run())
    dice = random.Random(1)
    next_id = RequestIds(secrets.token_bytes)
    running: list[Admission] = []
    while not draining.done():
        admitted = [meter.admit(a_ticket(next_id())) for _ in range(dice.randrange(8))]
        await asyncio.sleep(0)
        for admission in admitted:
            tell(f"o {admission.ticket.request_id}")
        running += admitted
        while len(running) > dice.randrange(20):
            done = running.pop(dice.randrange(len(running)))
            prompt, completion = dice.randrange(1000), dice.randrange(1000)
            record = a_record(
                done.ticket.request_id, prompt_tokens=prompt, completion_tokens=completion, cached_tokens=0
            )
            done.settle(record)
            ledger.flush()
            tell(f"c {done.ticket.request_id} {prompt} {completion}")
    await draining


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
