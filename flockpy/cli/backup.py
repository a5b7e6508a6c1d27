"""``flockpy backup`` and ``flockpy restore``."""

import os
from pathlib import Path
from typing import Annotated

import typer

from flockpy.cli import output
from flockpy.cli.client import Yes
from flockpy.clock import SystemClock
from flockpy.errors import StartError
from flockpy.lockfile import holder
from flockpy.settings import load, prepare_data_dir


def backup(file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write.")]) -> None:
    """Write a consistent copy of the leader's state to FILE. The leader may go on running."""
    from controlplane.store.backup import backup_to

    settings = load(os.environ)
    backup_to(settings.data, file, SystemClock().wall())
    output.line(f"wrote {file}; it holds keys, so keep it as safe as a key")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `flockpy backup` wrote.")],
    yes: Yes = False,
) -> None:
    """Put the leader's state back as it was in FILE. No leader may run here."""
    from controlplane.store.backup import restore_from

    settings = load(os.environ)
    for lock in (settings.data.up_lock, settings.data.leader_lock):
        if held := holder(lock):
            message = f"a leader runs here (pid {held.pid}); its state cannot be replaced under it"
            raise StartError(message, hint="flockpy down")
    if not file.is_file():
        raise StartError(f"{file} is no file")
    output.confirm(f"Replace the state in {settings.data.root} by that in {file}?", yes)
    prepare_data_dir(settings.data)
    aside = restore_from(file, settings.data, SystemClock().wall())
    output.line(f"restored {file}" + (f"; what was there before is in {aside}" if aside else ""))
    output.line("start again: flockpy up")
