"""The bench itself, briefly: its programs build, count what is there, and notice what is missing."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench.cases import CASES
from tests.bench.compare import Table
from tests.bench.load import measure
from tests.bench.peers import Peer, Ports, engine
from tests.bench.scenarios import stalled_readers, streams
from tests.ports import free_port

pytestmark = pytest.mark.needs_program("cc")


@pytest.fixture
def mock(tmp_path: Path) -> Iterator[Peer]:
    """The mock engine itself as the gateway under load."""
    port = free_port()
    with engine(Ports(engine=port), tmp_path, None) as pid:
        yield Peer("mock", f"http://127.0.0.1:{port}", pid)


def test_every_answer_and_every_chunk_is_counted(mock: Peer) -> None:
    requests = measure(mock, CASES["a"], seconds=0.2, warm_s=0.1)
    assert requests.number("errors") == 0
    assert requests.units > 10
    chunks = measure(mock, CASES["c"], seconds=60, warm_s=0, requests=40)
    assert (chunks.number("ok"), chunks.units) == (40, 40 * 64)
    assert (chunks.number("chunk_delay_ms", "p50") or 0) > 0


def test_a_short_stream_and_a_refusal_are_errors(mock: Peer) -> None:
    cut = measure(mock, replace(CASES["c"], fault="die=10", connections=1), seconds=0.1, warm_s=0)
    assert (cut.number("ok"), cut.number("errors")) == (0, cut.number("failures", "cut"))
    refused = measure(mock, replace(CASES["c"], fault="st=503", connections=1), seconds=0.1, warm_s=0)
    assert (refused.number("ok"), refused.number("failures", "first_status")) == (0, 503)


def test_scenarios_hold_for_the_engine_alone(mock: Peer) -> None:
    findings = [
        *streams(mock, 0, None, count=20, chunks=4, bound=3),
        *stalled_readers(mock, 0, None, clients=3, seconds=0.5),
    ]
    assert all(finding.holds for finding in findings), [finding.line() for finding in findings]


def test_the_table_counts_in_multiples_of_the_same_round(mock: Peer) -> None:
    table = Table()
    for number in range(2):
        for name in ("nginx", "flockpy"):
            measured = measure(Peer(name, mock.base, mock.pid), CASES["a"], seconds=0.2, warm_s=0)
            measured.raw["gateway_cpu_s"] = (1 if name == "nginx" else 2) * measured.units
            table.add(number, measured)
    assert table.multiple("a", "flockpy") == pytest.approx(2)
    assert table.misses() == []
    assert "flockpy" in "\n".join(table.lines())
