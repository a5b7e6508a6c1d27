"""``flockpy doctor``: looks at everything flockpy needs; each finding comes with the command that mends it."""

import os

import typer

from flockpy.cli import output
from flockpy.cli.client import AsJson
from flockpy.errors import StartError
from flockpy.settings import config_file, load

_SIGNS = {"ok": ("✔", "green"), "note": ("•", "yellow"), "problem": ("✘", "red")}


def doctor(as_json: AsJson = False) -> None:
    """Check hardware, engines, ports, disk, clock, files, models and configuration; says what mends each finding."""
    from flockpy.cli import checks, leader_checks

    try:
        settings = load(os.environ)
    except StartError as error:
        mend = error.hint or f"edit {config_file(os.environ)}"
        found = [checks.Finding("configuration", "problem", error.message, mend)]
    else:
        told = (
            str(settings.file) if settings.file.exists() else f"{settings.file} is not there, and need not be"
        )
        found = [checks.Finding("configuration", "ok", told)]
        found += checks.surroundings(settings, os.environ)
        for check in (
            checks.machine,
            checks.data_directory,
            checks.disk,
            checks.clock,
            checks.port,
            leader_checks.nodes,
            leader_checks.records,
            leader_checks.models,
            leader_checks.aliases,
            leader_checks.chains,
            checks.catalog,
            leader_checks.vendors,
        ):
            found += check(settings)
    problems = sum(finding.state == "problem" for finding in found)
    if as_json:
        items = [{name: getattr(f, name) for name in f.__slots__} for f in found]
        output.document({"items": items, "next_cursor": None, "problems": problems})
    else:
        for finding in found:
            sign, colour = _SIGNS[finding.state]
            typer.echo(output.styled(sign, colour) + output.safe(f" {finding.check}: {finding.message}"))
            if finding.mend:
                typer.echo(output.safe(f"    → {finding.mend}"))
        output.note("" if problems else "all is well")
    if problems:
        raise typer.Exit(1)
