"""What a new user waits for: from a fresh clone to the first answer, then a second start, then memory at rest."""

import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.bench.native import HERE
from tests.bench.processes import command_line, ended, resident_mb, running, tree
from tests.bench.scenarios import Finding

COLD_S = 120
WARM_S = 4
IDLE_MB = 250
REST_S = 15


def starts(port: int) -> Iterator[Finding]:
    """Clone what is committed, start it with an empty home and empty caches, and start it again."""
    with tempfile.TemporaryDirectory(prefix="flockpy-starts-") as folder:
        clone, home = Path(folder) / "clone", Path(folder) / "home"
        home.mkdir()
        subprocess.run(["git", "clone", "--quiet", str(HERE.parents[1]), str(clone)], check=True)
        # The virtual environment of this bench is none of a new user's.
        path = os.pathsep.join(p for p in os.environ["PATH"].split(os.pathsep) if ".venv" not in p)
        env = {"PATH": path, "HOME": str(home)}
        command = [str(clone / "scripts" / "up"), "--listen", f"127.0.0.1:{port}", "--no-wizard"]
        log, key = Path(folder) / "up.log", home / ".flock" / "admin.key"

        def speaks() -> bool:
            return _speaks(port, key)

        began = time.monotonic()
        with running(command, log, speaks, env=env, patience_s=2 * COLD_S) as process:
            yield _in_time("the first start, installing all it needs", time.monotonic() - began, COLD_S)
            rested = time.monotonic() + REST_S
            while time.monotonic() < rested and not ended(process):
                pass
            yield _at_rest(process.pid)
        began = time.monotonic()
        with running(command, log, speaks, env=env):
            yield _in_time("the second start", time.monotonic() - began, WARM_S)


def _in_time(start: str, took: float, at_most: float) -> Finding:
    return Finding(f"{start}: a token within {at_most} s", f"{took:.1f} s", took <= at_most)


def _at_rest(root: int) -> Finding:
    commands = {pid: command_line(pid) for pid in tree(root)}
    pids = [
        pid for pid, command in commands.items() if " -m controlplane " in command or " -m agent " in command
    ]
    used = [resident_mb([pid]) for pid in pids]
    text = f"{' + '.join(f'{mb:.0f}' for mb in used)} MB"
    return Finding(
        f"leader and agent at rest: at most {IDLE_MB} MB", text, len(used) == 2 and sum(used) <= IDLE_MB
    )


def _speaks(port: int, key: Path) -> bool:
    """Whether the self-test model says something."""
    with contextlib.suppress(OSError, urllib.error.URLError):
        body = {"model": "auto", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/chat/completions",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {key.read_text().strip()}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return b'"content"' in b"".join(answer)
    return False
