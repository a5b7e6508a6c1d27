"""``flockpy backup`` and ``flockpy restore``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flockpy.cli import output
from flockpy.errors import StartError
from flockpy.lockfile import holder
from flockpy.settings import load, prepare_data_dir


def backup(file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write.")]) -> None:
    """Write a consistent copy of the leader's state to FILE; the leader may go on running."""
    from controlplane.store import backup_to

    settings = load(os.environ)
    backup_to(settings.data, file)
    output.line(f"wrote {file}")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `flockpy backup` wrote.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Put the leader's state back as it was in FILE. The leader must not run."""
    from controlplane.store import restore_from

    settings = load(os.environ)
    for lock in (settings.data.up_lock, settings.data.leader_lock):
        if held := holder(lock):
            message = f"a leader runs here (pid {held.pid}); its state cannot be replaced under it"
            raise StartError(message, hint="flockpy down")
    if not file.is_file():
        raise StartError(f"{file} is no file")
    output.confirm(f"Replace the state in {settings.data.root} by {file}?", yes)
    prepare_data_dir(settings.data)
    restore_from(file, settings.data)
    output.line(f"restored {file}; start again: flockpy up")
