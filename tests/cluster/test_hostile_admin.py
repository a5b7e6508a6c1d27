"""The admin surface of a whole program against its own description, with whatever a machine makes of it."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.program import Program, eventually, running

ENOUGH = 100
"""Errors among the answers. How many a machine gets to see in its time depends on what else it does."""


@pytest.mark.timeout(600)
def test_the_admin_surface_is_what_its_description_says(tmp_path: Path) -> None:
    with running(tmp_path, FLOCK_ENGINE="embedded") as program:
        eventually(lambda: program.model_state("flock-demo") == "serving", "the demo model serves")
        bodies, errors = list[str](), list[str]()
        for seed in range(20260101, 20260106):
            bodies += attacked(program, tmp_path, seed)
            errors = [body for body in bodies if body.startswith('{"error":')]
            if len(errors) > ENOUGH:
                break
        assert len(bodies) > len(errors) > ENOUGH
        for inside in ("Traceback", str(program.data_dir)):
            assert not [error for error in errors if inside in error]
        assert not [body for body in bodies if program.key in body]
        assert program.chat().status_code == 200
        lines = [json.loads(line) for line in program.said().splitlines() if line.startswith("{")]
        assert [line for line in lines if line["level"] in ("error", "critical")] == []
        assert "Traceback" not in program.said()


def attacked(program: Program, folder: Path, seed: int) -> list[str]:
    """The bodies that were sent and answered; fails where an answer is none that the description allows."""
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{program.url}/openapi.json",
            f"--header=Authorization: Bearer {program.key}",
            "--phases=examples,coverage,fuzzing",
            "--max-examples=6",
            f"--seed={seed}",
            "--generation-deterministic",
            "--max-time=40",
            "--checks=not_a_server_error,status_code_conformance,content_type_conformance",
            "--exclude-path-regex=desired|/events|/logs|/backup",
            "--exclude-method=DELETE",
            "--report=ndjson",
            f"--report-ndjson-path={folder / str(seed)}",
            "--no-color",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    encoded = re.findall(r'"\$base64":\s*"([^"]*)"', (folder / str(seed)).read_text())
    return [base64.b64decode(body).decode(errors="replace") for body in encoded]
