"""What commands print. Text that came from elsewhere is shown, never obeyed: control characters are visible."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from flockpy.cli.banner import coloured
from flockpy.units import duration_text

if TYPE_CHECKING:
    from rich.console import Console

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

_VISIBLE = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)] if code not in (0x09, 0x0A)}
_GOOD = {"ready", "serving", "alive", "ok", "done", "active", "completed"}
_BAD = {"failed", "lost", "revoked", "expired", "error"}


def document(value: object) -> None:
    """`value` as the one JSON document of a ``--json`` command."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def line(text: str = "") -> None:
    """A line for people, on standard output."""
    typer.echo(safe(text))


def note(text: str) -> None:
    """A line beside the result, on standard error."""
    typer.echo(safe(text), err=True)


def styled(text: str, colour: str, *, err: bool = False) -> str:
    """`text` in a colour where colour is wanted."""
    stream = sys.stderr if err else sys.stdout
    return typer.style(text, fg=colour) if coloured(os.environ, stream.isatty()) else text


def safe(text: object) -> str:
    return str(text).translate(_VISIBLE)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """A table on standard output; `empty` is said on standard error when there are no rows.

    A column name that starts with ``>`` is set flush right. Off a terminal nothing is cut or wrapped.
    """
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        made.add_column(
            column.lstrip(">").upper(), justify="right" if column[0] == ">" else "left", overflow="fold"
        )
    for row in rows:
        made.add_row(*(Text(safe(cell), style=_style(cell)) for cell in row))
    if made.row_count:
        console().print(made)
    else:
        note(empty)


def facts(pairs: Mapping[str, object] | Iterable[tuple[str, object]]) -> None:
    """Name and value, one pair a line; a pair whose value is None or "" is left out."""
    shown = [(name, value) for name, value in dict(pairs).items() if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        line(f"{name:<{width}}  {value}")


def console() -> "Console":
    """Standard output through rich: colour on a terminal only, and no wrapping off one."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(highlight=False, markup=False, width=None if terminal else 10_000, soft_wrap=False)


def ago(time: str | None, now: datetime | None = None) -> str:
    """``3 min ago`` for an RFC 3339 time; "never" for None."""
    if not time:
        return "never"
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(time)).total_seconds()
    return (
        "just now"
        if seconds < 1
        else f"{duration_text(seconds).split(' ')[0]} {duration_text(seconds).split(' ')[1]} ago"
    )


def local_time(time: str | None) -> str:
    """An RFC 3339 time on this machine's clock, to the second."""
    return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""


def confirm(question: str, yes: bool) -> None:
    """Ask before something is destroyed. Off a terminal ``--yes`` is needed; a no ends the command."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{safe(question)} Say --yes where nobody can be asked.", param_hint="--yes")
    if not typer.confirm(safe(question), err=True):
        raise typer.Exit(1)


def _style(cell: Any) -> str:
    return "green" if cell in _GOOD else "red" if cell in _BAD else ""


def failures(models: Iterable[Mapping[str, Any]]) -> None:
    """Why each failed model failed, a line for each."""
    for model, trouble in troubled(models):
        line(f"{model} {trouble}")


def troubled(models: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The models that failed, or did and are tried again, each with what happened."""
    for model in models:
        reasons = [p["reason"] for p in model["placements"] if p["state"] == "failed" and p.get("reason")]
        if model["state"] == "failed":
            yield model["id"], f"failed: {model.get('reason') or 'see flockpy logs'}"
        elif reasons:
            again = "is tried again" if model["state"] == "loading" else "failed in one place"
            yield model["id"], f"{again}: {reasons[0]}"
