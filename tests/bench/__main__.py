"""``scripts/bench``: what the gateway costs, next to nginx and others, on this machine. See README.md."""

import argparse
import platform
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.bench import compare, scenarios
from tests.bench.cases import CASES
from tests.bench.peers import STARTERS, Peer, Ports
from tests.bench.processes import Unavailable
from tests.bench.starts import starts


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="compare", choices=["compare", "streams", "rss", "starts"])
    parser.add_argument("--peers", default="", help="further gateways, by comma: sglang")
    parser.add_argument("--only", help="gateways, by comma, instead of nginx and flockpy")
    parser.add_argument("--cases", default="a,b,c,d,e,f")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="measured window of each case")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    parser.add_argument(
        "--no-pin", action="store_true", help="do not pin gateways to core 0 and the rest to core 1"
    )
    parser.add_argument("--ports", type=int, default=27100, help="first of the ports to use")
    parser.add_argument(
        "--base", help="measure this gateway, already running before the engine port, instead of ours"
    )
    parser.add_argument("--pid", type=int, help="root of its process tree")
    parser.add_argument("--key", default="", help="its API key")
    parser.add_argument("--requests", type=int, default=50_000, help="for rss")
    parser.add_argument("--streams", type=int, default=scenarios.STREAMS, help="for streams")
    return parser.parse_args()


def main() -> int:
    wanted = options()
    first = wanted.ports
    ports = Ports(first, first + 1, first + 2, first + 3, first + 4)
    external = [Peer("gateway", wanted.base, wanted.pid, wanted.key)] if wanted.base else []
    ours = [] if external else ["flockpy"]
    names = [name for name in wanted.peers.split(",") if name]
    names = (
        wanted.only.split(",")
        if wanted.only
        else ([*ours, *names] if wanted.what != "compare" else ["nginx", *ours, *names])
    )
    unknown = [name for name in names if name not in STARTERS] + [
        c for c in wanted.cases.split(",") if c not in CASES
    ]
    if unknown:
        print(f"unknown: {unknown}; gateways {sorted(STARTERS)}, cases {sorted(CASES)}", file=sys.stderr)
        return 2
    print(f"on Python {platform.python_version()}, {platform.machine()}", flush=True)
    try:
        if wanted.what == "starts":
            return 0 if told(starts(ports.flockpy)) else 1
        with compare.stage(names, ports, not wanted.no_pin) as (peers, mock_pid, core):
            everyone = [*peers, *external]
            if wanted.what == "compare":
                return run_compare(wanted, everyone, mock_pid, core)
            return run_scenario(wanted, everyone, mock_pid, core)
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 1


def run_compare(wanted: argparse.Namespace, peers: list[Peer], mock_pid: int, core: int | None) -> int:
    table = compare.Table()
    cases = [CASES[name] for name in wanted.cases.split(",")]
    for number, measured in compare.rounds(peers, cases, wanted.rounds, wanted.seconds, mock_pid, core):
        cost = f"{measured.cpu_us:.2f} us" if measured.cpu_us else "-"
        print(
            f"round {number + 1} {measured.case.name} {measured.peer}: {cost} per {measured.case.unit}",
            file=sys.stderr,
        )
        table.add(number, measured)
    print("\n".join(table.lines()))
    if wanted.json:
        table.write(wanted.json)
    misses = table.misses()
    print("\n".join(["", "missed:", *misses] if misses else ["", "every target is met"]))
    return 1 if misses else 0


def run_scenario(wanted: argparse.Namespace, peers: list[Peer], mock_pid: int, core: int | None) -> int:
    holds = True
    for peer in peers:
        print(f"── {peer.name}")
        found: list[Iterable[scenarios.Finding]]
        if wanted.what == "streams":
            found = [scenarios.streams(peer, mock_pid, core, wanted.streams)]
        else:
            found = [
                scenarios.flat_memory(peer, mock_pid, core, wanted.requests),
                scenarios.stalled_readers(peer, mock_pid, core),
            ]
        for findings in found:
            holds &= told(findings)
    return 0 if holds else 1


def told(findings: Iterable[scenarios.Finding]) -> bool:
    """Print them as they come; whether all promises hold."""
    holds = True
    for finding in findings:
        print(finding.line(), flush=True)
        holds &= finding.holds
    return holds


if __name__ == "__main__":
    sys.exit(main())
