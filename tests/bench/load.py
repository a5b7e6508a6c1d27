"""Running the load generator: one case against one gateway."""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.bench.cases import Case
from tests.bench.native import program
from tests.bench.peers import Peer
from tests.bench.processes import command_line, on_core


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the load generator printed; see ``native/load.c`` for the fields of `raw`."""

    peer: str
    case: Case
    raw: dict[str, object]

    def number(self, *path: str) -> float | None:
        value: object = self.raw
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return float(value) if isinstance(value, int | float) else None

    @property
    def units(self) -> float:
        """Requests done, or chunks delivered in a streaming case."""
        return (self.number("chunks" if self.case.chunks else "ok") or 0) / self.case.repeats

    @property
    def cpu_us(self) -> float | None:
        """CPU microseconds of the gateway's whole tree for each request or chunk."""
        spent = self.number("gateway_cpu_s")
        return spent * 1e6 / self.units if spent is not None and self.units else None

    @property
    def busiest_cpu_us(self) -> float | None:
        """The same of its busiest process alone: in ours, the one that serves requests."""
        processes = self.raw.get("processes")
        if not isinstance(processes, list) or not processes or not self.units:
            return None
        return max(float(process["cpu_s"]) for process in processes) * 1e6 / self.units


def measure(
    peer: Peer,
    case: Case,
    *,
    mock_pid: int = 0,
    seconds: float = 5,
    warm_s: float | None = None,
    requests: int | None = None,
    timeout_s: float = 60,
    core: int | None = None,
) -> Measurement:
    """Run `case` against `peer` for so many seconds after warming up, or for so many `requests`."""
    where = urlsplit(peer.base)
    with tempfile.NamedTemporaryFile(suffix=".json") as body:
        body.write(case.body())
        body.flush()
        command = [
            str(program("load")),
            "-a",
            f"{where.hostname}:{where.port}",
            "-P",
            where.path.rstrip("/") + case.path,
        ]
        command += [
            "-b",
            body.name,
            "-c",
            str(case.connections),
            "-e",
            str(case.chunks * case.repeats),
            "-r",
            str(case.ramp_ms),
        ]
        command += [
            "-t",
            str(seconds),
            "-w",
            str(case.warm_s if warm_s is None else warm_s),
            "-T",
            str(timeout_s),
        ]
        command += ["-m", str(mock_pid)] if mock_pid else []
        command += ["-p", str(peer.pid)] if peer.pid else []
        command += ["-H", f"Authorization: Bearer {peer.key}"] if peer.key else []
        command += ["-n", str(requests)] if requests is not None else []
        with on_core(core):
            done = subprocess.run(command, capture_output=True, check=True, text=True)
    raw: dict[str, object] = json.loads(done.stdout)
    processes = raw.get("processes")
    if isinstance(processes, list):
        for process in processes:
            process["command"] = command_line(process["pid"])[:120]
    return Measurement(peer.name, case, raw)
