"""What a figure per request cannot show: many streams at once, memory over time, readers that stall."""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.cases import CASES, CHAT, Case, chat_body
from tests.bench.load import measure
from tests.bench.peers import Peer
from tests.bench.processes import rss_mb

STREAMS = 1000
CHUNKS = 64
FLAT_MB = 20
STALLED = 50
STALLED_MB = 2


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise, what was measured, and whether it holds."""

    promise: str
    measured: str
    holds: bool

    def line(self) -> str:
        return f"{'pass' if self.holds else 'FAIL'}  {self.promise}: {self.measured}"


def streams(
    peer: Peer,
    mock_pid: int,
    core: int | None,
    count: int = STREAMS,
    chunks: int = CHUNKS,
    bound: float = 1.1,
) -> Iterator[Finding]:
    """`count` streams at once, 100 and 20 ms a chunk: all finish; at 100 ms within `bound` of ideal."""
    for interval_ms in (100, 20):
        ideal_ms = chunks * interval_ms  # the end comes one interval after the last chunk
        case = Case("streams", "", 3300, 5, count, chunks, interval_ms, ramp_ms=min(1000, count))
        m = measure(
            peer, case, mock_pid=mock_pid, seconds=600, warm_s=0, requests=count, timeout_s=300, core=core
        )
        done, failed = m.number("ok") or 0, m.number("errors") or 0
        yield Finding(
            f"{count} streams at {interval_ms} ms all finish",
            f"{done:.0f} of {count}",
            done == count and not failed,
        )
        middle, worst = (m.number("latency_ms", p) or float("inf") for p in ("p50", "p99"))
        first, delay = (m.number(name, "p99") for name in ("first_chunk_ms", "chunk_delay_ms"))
        text = f"p50 {middle / ideal_ms:.3f}, p99 {worst / ideal_ms:.3f}"
        text += f"; first chunk p99 {first} ms, chunk delay p99 {delay} ms"
        if interval_ms == 100:
            yield Finding(
                f"their length at 100 ms is at most {bound} of the ideal (p99)",
                text,
                worst <= bound * ideal_ms,
            )
        else:
            yield Finding("their length at 20 ms as a share of the ideal (no bound)", text, True)


def flat_memory(peer: Peer, mock_pid: int, core: int | None, requests: int = 50_000) -> Iterator[Finding]:
    """Memory after `requests` requests is within FLAT_MB of what it was after the first tenth."""
    pid = _pid(peer)
    measured: list[float] = []
    failed = 0.0
    for _ in range(10):
        m = measure(
            peer, CASES["a"], mock_pid=mock_pid, seconds=3600, warm_s=0, requests=requests // 10, core=core
        )
        failed += m.number("errors") or 0
        measured.append(rss_mb(pid))
    text = " ".join(f"{mb:.0f}" for mb in measured) + " MB"
    yield Finding(
        f"memory is flat within {FLAT_MB} MB over {requests} requests",
        text,
        max(measured) - measured[0] <= FLAT_MB,
    )
    yield Finding("every one of them is answered", f"{failed:.0f} failed", not failed)


def stalled_readers(
    peer: Peer, mock_pid: int, core: int | None, clients: int = STALLED, seconds: float = 10
) -> Iterator[Finding]:
    """Clients that stop reading an endless burst cost their buffers, no more, and do not hold up others."""
    pid = _pid(peer)
    measure(peer, CASES["a"], mock_pid=mock_pid, seconds=1, warm_s=0, core=core)
    before = rss_mb(pid)
    memory: list[float] = []
    failed = slowest = 0.0
    with contextlib.ExitStack() as stack:
        for _ in range(clients):
            stack.enter_context(_stalled_client(peer))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            m = measure(peer, CASES["a"], mock_pid=mock_pid, seconds=0.5, warm_s=0, core=core)
            failed += m.number("errors") or 0
            slowest = max(slowest, m.number("latency_ms", "p99") or 0)
            memory.append(rss_mb(pid))
    cost = (memory[0] - before) / clients
    text = f"{cost:.2f} MB each: {before:.0f} MB before, {memory[0]:.0f} MB with {clients} of them"
    yield Finding(f"a client that stops reading costs at most {STALLED_MB} MB", text, cost <= STALLED_MB)
    text = f"{memory[0]:.0f} MB at first, {max(memory):.0f} MB at most in {seconds:g} s"
    yield Finding(
        f"while they stay, memory is flat within {FLAT_MB} MB", text, max(memory) - memory[0] <= FLAT_MB
    )
    yield Finding("others are served meanwhile", f"{failed:.0f} failed, p99 {slowest} ms", not failed)


@contextlib.contextmanager
def _stalled_client(peer: Peer) -> Iterator[None]:
    """A client that asks for a stream of 50 MB, reads its first bytes and no more."""
    where = urlsplit(peer.base)
    body = json.dumps(chat_body(3300, 5, True, "[[mock n=200000 i=0 ]]")).encode()
    head = [
        f"POST {where.path.rstrip('/')}{CHAT} HTTP/1.1",
        f"Host: {where.netloc}",
        "Content-Type: application/json",
    ]
    head += [f"Content-Length: {len(body)}", *([f"Authorization: Bearer {peer.key}"] if peer.key else [])]
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(30)
        client.connect((where.hostname, where.port))
        client.sendall("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        if b" 200 " not in (first := client.recv(1024)):
            raise ValueError(f"{peer.name} did not start a stream: {first[:200]!r}")
        yield


def _pid(peer: Peer) -> int:
    if peer.pid is None:
        raise ValueError(f"the memory of {peer.name} cannot be read without its process id: give --pid")
    return peer.pid
