"""Gateways against each other: each case in turn, in rounds, as multiples of nginx in the same round."""

import contextlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

from tests.bench.cases import CASES, CHAT, Case
from tests.bench.load import Measurement, measure
from tests.bench.peers import STARTERS, Peer, Ports, engine

YARDSTICK = "nginx"
OURS = "flockpy"

# Title, width, digits. "x plain": a translated answer as a multiple of the same untranslated. "first" is the time to
# the first chunk, else to the whole answer; "delay" that of a chunk on its way through; both in ms. "busiest" is the
# CPU of the busiest process alone; "noise" is how many cores the rest of the machine used meanwhile.
COLUMNS = (
    ("case", 4, 0),
    ("what", 20, 0),
    ("gateway", 13, 0),
    ("x nginx", 7, 2),
    ("target", 6, 1),
    ("x plain", 7, 2),
    ("CPU us", 8, 2),
    ("busiest", 8, 2),
    ("per", 7, 0),
    ("units/s", 7, 0),
    ("first p50", 9, 2),
    ("first p99", 9, 1),
    ("delay p50", 9, 2),
    ("delay p99", 9, 1),
    ("MB", 5, 0),
    ("errors", 6, 0),
    ("noise", 5, 2),
)
LEFT = ("case", "what", "gateway", "per")


@contextlib.contextmanager
def stage(names: Sequence[str], ports: Ports, pinned: bool) -> Iterator[tuple[list[Peer], int, int | None]]:
    """Start the engine and the named gateways: answers them, the engine's pid, and the core of
    load and engine. Pinned, every gateway runs on core 0, load and engine on core 1.
    """
    gateways, rest = (0, 1) if pinned else (None, None)
    with contextlib.ExitStack() as stack:
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flockpy-bench-")))
        mock_pid = stack.enter_context(engine(ports, run, rest))
        peers = [stack.enter_context(STARTERS[name](ports, run, gateways)) for name in names]
        yield peers, mock_pid, rest


def rounds(
    peers: Sequence[Peer], cases: Sequence[Case], count: int, seconds: float, mock_pid: int, core: int | None
) -> Iterator[tuple[int, Measurement]]:
    """Each gateway in each case, alternating, so that a slow minute of the machine hits them all alike."""
    for number in range(count):
        for case in cases:
            for peer in peers if case.path == CHAT else [peer for peer in peers if peer.name == OURS]:
                yield number, measure(peer, case, mock_pid=mock_pid, seconds=seconds, core=core)


class Table:
    """All measurements of a run, by case, gateway and round."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, str], dict[int, Measurement]] = {}

    def add(self, number: int, measurement: Measurement) -> None:
        self._cells.setdefault((measurement.case.name, measurement.peer), {})[number] = measurement

    def multiple(self, case: str, peer: str) -> float | None:
        """Median over the rounds of this gateway's CPU over nginx's in the same round."""
        yardstick = self._cells.get((case, YARDSTICK), {})
        found = [
            mine / base
            for number, measurement in self._cells[case, peer].items()
            if number in yardstick
            and (mine := measurement.cpu_us) is not None
            and (base := yardstick[number].cpu_us)
        ]
        return median(found) if found else None

    def middle(self, case: str, peer: str, *path: str) -> float | None:
        return _median(m.number(*path) for m in self._cells[case, peer].values())

    def misses(self) -> list[str]:
        """Where ours is over its target, behind another gateway, or has failed requests."""
        wrong: list[str] = []
        for case, peer in self._cells:
            if peer != OURS:
                continue
            if errors := self.middle(case, peer, "errors"):
                wrong.append(f"{case}: {errors:.0f} failed requests")
            wrong += self._translating(case)
            if (mine := self.multiple(case, peer)) is None:
                continue
            target = CASES[case].target
            if target is not None and mine > target:
                wrong.append(f"{case}: {mine:.2f} times nginx, aimed at {target}")
            for other_case, other in self._cells:
                theirs = (
                    self.multiple(case, other)
                    if other_case == case and other not in (OURS, YARDSTICK)
                    else None
                )
                if theirs is not None and mine >= theirs:
                    wrong.append(f"{case}: {mine:.2f} times nginx, {other} only {theirs:.2f}")
        return wrong

    def _translating(self, case: str) -> Iterator[str]:
        kind = CASES[case]
        cost = _median(m.cpu_us for m in self._cells[case, OURS].values())
        if cost is None:
            return
        if kind.target_us is not None and cost > kind.target_us:
            yield f"{case}: {cost:.1f} us per {kind.unit}, aimed at {kind.target_us}"
        times = self.beside(case)
        if times is not None and kind.target_beside is not None and times > kind.target_beside:
            yield f"{case}: {times:.2f} times {kind.beside}, aimed at {kind.target_beside}"

    def beside(self, case: str) -> float | None:
        """What ours costs in a translating case, as a multiple of the case without translation in the same round."""
        plain = self._cells.get((CASES[case].beside, OURS), {})
        found = [
            mine / base
            for number, measurement in self._cells.get((case, OURS), {}).items()
            if number in plain and (mine := measurement.cpu_us) is not None and (base := plain[number].cpu_us)
        ]
        return median(found) if found else None

    def lines(self) -> Iterator[str]:
        """The table as text, one line for each case and gateway."""
        yield "  ".join(f"{title:{'<' if title in LEFT else '>'}{width}}" for title, width, _ in COLUMNS)
        for (case, peer), cell in sorted(self._cells.items(), key=lambda item: item[0][0]):
            kind = CASES[case]
            first = "first_chunk_ms" if kind.chunks else "latency_ms"
            values: dict[str, float | str | None] = {
                "case": case,
                "what": kind.what,
                "gateway": peer,
                "x nginx": self.multiple(case, peer),
                "target": kind.target if peer == OURS else None,
                "x plain": self.beside(case) if kind.beside else None,
                "CPU us": _median(m.cpu_us for m in cell.values()),
                "busiest": _median(m.busiest_cpu_us for m in cell.values()),
                "per": kind.unit,
                "units/s": _median(m.units / (m.number("seconds") or 1) for m in cell.values()),
                "first p50": self.middle(case, peer, first, "p50"),
                "first p99": self.middle(case, peer, first, "p99"),
                "delay p50": self.middle(case, peer, "chunk_delay_ms", "p50"),
                "delay p99": self.middle(case, peer, "chunk_delay_ms", "p99"),
                "MB": self.middle(case, peer, "gateway_pss_mb"),
                "errors": self.middle(case, peer, "errors"),
                "noise": _median(
                    (m.number("other_cpu_s") or 0) / (m.number("seconds") or 1) for m in cell.values()
                ),
            }
            yield "  ".join(_cell(values[title], width, digits) for title, width, digits in COLUMNS)

    def write(self, path: Path) -> None:
        rows = [
            {"case": case, "peer": peer, "round": number, "cpu_us": m.cpu_us, **m.raw}
            for (case, peer), cell in self._cells.items()
            for number, m in cell.items()
        ]
        multiples = {f"{case} {peer}": self.multiple(case, peer) for case, peer in self._cells}
        path.write_text(json.dumps({"multiples_of_nginx": multiples, "measurements": rows}, indent=1))


def _median(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return median(found) if found else None


def _cell(value: float | str | None, width: int, digits: int) -> str:
    if isinstance(value, str):
        return f"{value:<{width}}"
    return f"{'-' if value is None else format(value, f'.{digits}f'):>{width}}"
