"""Programs that let a model read a file through a library; each prints what came of its checks as one JSON object."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from tests.clients.stage import Stage
from tests.clients.workplace import Workplace
from tests.cluster.program import Program
from tests.simulators.strict_engine import MODEL, Script

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Said:
    """What a program said of each check, and what the engine refused meanwhile."""

    work: Workplace
    checks: dict[str, str]
    refusals: list[str]

    def of(self, check: str) -> str:
        """The model's last words."""
        assert self.refusals == []
        return self.checks[check]


def run_program(stage: Stage, folder: Path, name: str, client: Path, checks: list[str]) -> Said:
    """Run such a program, with the `client` that `install` has made for it."""
    stage.engine.play(Script())
    said = run_against(stage.program, MODEL, folder, name, client, checks)
    return replace(said, refusals=list(stage.engine.refusals))


def run_against(
    program: Program, model: str, folder: Path, name: str, client: Path, checks: list[str]
) -> Said:
    """The same, with any model."""
    work = Workplace(folder)
    python: list[str | Path] = [client / "bin" / "python", "-P", HERE / name]
    argv = ["node", HERE / name, client] if name.endswith(".mjs") else python
    done = work.run([*argv, program.url, program.key, model, *checks], timeout=180)
    assert done.code == 0, (done.out, done.err)
    return Said(work, json.loads(done.out.splitlines()[-1]), [])
