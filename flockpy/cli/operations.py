"""Following an operation (a pull, a load, a removal) until it is over."""

import sys
from typing import Any

from flockpy.cli.client import Api
from flockpy.cli.output import note, safe
from flockpy.errors import StartError
from flockpy.units import bytes_text, duration_text

POLL_S = 0.4


def follow(api: Api, operation: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """The operation as it ended. Progress goes to standard error unless `quiet`.

    Raises StartError when it failed or was cancelled, ApiError when the leader cannot be asked. Ctrl-C leaves
    the operation running.
    """
    import asyncio

    try:
        ended = asyncio.run(_follow(api, operation, None if quiet else _Progress()))
    except KeyboardInterrupt:
        note(f"{operation['id']} goes on; `flockpy model ls` shows how far it is")
        raise
    if ended["state"] != "done":
        reason = ended.get("error") or f"it was {ended['state']}"
        message = f"{ended['kind']} {ended['target']}: {reason}"
        raise StartError(message, hint="flockpy logs, or flockpy doctor")
    return ended


async def _follow(api: Api, operation: dict[str, Any], progress: "_Progress | None") -> dict[str, Any]:
    import asyncio

    try:
        while operation["state"] in ("pending", "running"):
            if progress:
                progress.show(operation)
            await asyncio.sleep(POLL_S)
            operation = api.get(f"/operations/{operation['id']}")
        if progress:
            progress.show(operation)
        return operation
    finally:
        if progress:
            progress.close()


class _Progress:
    """A bar on a terminal; elsewhere one line for each new state."""

    def __init__(self) -> None:
        self._said = ""
        self._bar: Any = None
        self._task: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            self._bar = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[detail]}", markup=False),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()

    def show(self, operation: dict[str, Any]) -> None:
        title = safe(f"{operation['kind']} {operation['target']}")
        done, total = operation.get("done_bytes") or 0, operation.get("total_bytes") or None
        if self._bar is None:
            text = f"{title}: {operation['state']}"
            if text != self._said:
                note(text)
            self._said = text
            return
        if self._task is None:
            self._task = self._bar.add_task(title, total=total, detail="")
        self._bar.update(self._task, total=total, completed=done, detail=detail(operation))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


def detail(operation: dict[str, Any]) -> str:
    """``1.2 GiB of 4.7 GiB · 85.0 MiB/s · 42 s left``, as far as it is known."""
    parts: list[str] = []
    if total := operation.get("total_bytes"):
        parts.append(f"{bytes_text(operation.get('done_bytes') or 0)} of {bytes_text(total)}")
    if rate := operation.get("rate_bps"):
        parts.append(f"{bytes_text(rate)}/s")
    if (left := operation.get("eta_s")) is not None:
        parts.append(f"{duration_text(left)} left")
    return " · ".join(parts) or str(operation["state"])
