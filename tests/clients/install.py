"""Clients from their packages, each in a folder of its own under ``.cache/clients``, as pinned beside this file.

``npm/NAME/package.json`` with its lock, ``python/NAME.txt``: nowhere else stands a version.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "clients"
INSTALL_S = 300


class Unavailable(Exception):
    """A client cannot be installed here; the message says which and why."""


def npm_client(name: str) -> Path:
    """The folder whose ``node_modules`` holds the packages of ``npm/NAME``. No script of theirs is run.

    Raises Unavailable.
    """
    source = HERE / "npm" / name

    def install(folder: Path) -> None:
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, folder)
        # Not "ci": it refuses locks that lack the optional packages of other platforms, as npm itself writes them.
        _run(name, ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], folder)

    return _installed(f"npm-{name}", (source / "package-lock.json").read_bytes(), install)


def python_client(name: str) -> Path:
    """The virtual environment with the packages of ``python/NAME.txt``. Raises Unavailable."""
    pins = HERE / "python" / f"{name}.txt"
    uv = [sys.executable, "-m", "uv"]

    def install(folder: Path) -> None:
        _run(name, [*uv, "venv", "--quiet", "--relocatable", "--python", sys.executable, "v"], folder)
        _run(
            name,
            [*uv, "pip", "install", "--quiet", "--system-certs", "--python", "v/bin/python", "-r", str(pins)],
            folder,
        )

    return _installed(f"python-{name}", pins.read_bytes() + sys.version.encode(), install) / "v"


def _installed(name: str, pins: bytes, install: Callable[[Path], None]) -> Path:
    """Install once for these pins. Several processes may ask at once: the first one installs, the others wait."""
    folder = CACHE / f"{name}-{hashlib.sha256(pins).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # until it is closed, also by the end of this process
        if folder.is_dir():
            return folder
        unfinished = CACHE / f"{name}.unfinished"
        for older in (unfinished, *CACHE.glob(f"{name}-????????????")):
            shutil.rmtree(older, ignore_errors=True)
        unfinished.mkdir()
        try:
            install(unfinished)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _run(name: str, argv: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            argv, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{name} cannot be installed here: {error}") from error
    if done.returncode != 0:
        raise Unavailable(f"{name} cannot be installed here: {done.stderr.strip()[-600:]}")
