"""The two C programs of the bench: built on first use, rebuilt when their sources change."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "native"
CACHE = HERE.parents[1] / ".cache" / "bench"

PROGRAMS = {"mock": ["mock.c"], "load": ["load.c", "proctree.c", "reply.c"]}


def program(name: str) -> Path:
    """The built program `name` (``mock`` or ``load``). Raises CalledProcessError if the compiler does."""
    target = CACHE / name
    newest = max(path.stat().st_mtime for path in SOURCES.iterdir())
    if not target.exists() or target.stat().st_mtime < newest:
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}")
        compiler = os.environ.get("CC", "cc")
        sources = [str(SOURCES / source) for source in PROGRAMS[name]]
        subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(fresh), *sources], check=True)
        fresh.replace(target)
    return target
