"""Ports for servers that a test starts as processes of their own, chosen before the server listens."""

import os
import random
import socket
from collections.abc import Iterator

LOWEST, HIGHEST = 10_000, 32_000  # below what the kernel gives to outgoing connections and to port 0


def free_port() -> int:
    """A loopback port that nobody listens on now, and that no other test is given while this one's server starts.

    Tests that run side by side choose from ranges of their own: two programs on one port would each be taken for the
    other, since the one that came second is asked at the first one's address.
    """
    return next(_ports)


def _free_ports() -> Iterator[int]:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    mine = range(LOWEST + worker, HIGHEST, workers)
    at = random.randrange(len(mine))  # another run on this machine hardly starts at the same one
    while True:
        at = (at + 1) % len(mine)
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", mine[at]))
            except OSError:
                continue
        yield mine[at]


_ports = _free_ports()
