"""The ``flockpy`` program: the edge where errors become messages and exit codes.

0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

import os
import sys
from typing import NoReturn

from flockpy.version import VERSION


def main() -> NoReturn:
    """Run the command line of this process."""
    if sys.argv[1:] in (["version"], ["--version"]):
        sys.stdout.write(f"flockpy {VERSION}\n")  # asked by scripts, and far quicker without the rest
        sys.exit(0)
    if os.environ.get("FLOCK_NO_COLOR"):
        os.environ["NO_COLOR"] = "1"
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; its exit code."""
    import typer

    from flockpy.cli.app import app
    from flockpy.errors import FlockError

    try:
        code = app(arguments, prog_name="flockpy", standalone_mode=False)
    except FlockError as error:
        complain(error.message, error.hint)
        return 1
    except typer.TyperException as error:
        show = getattr(error, "show", None)
        show() if show else complain(error.format_message(), None)
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return 130
    return code if isinstance(code, int) else 0


def complain(message: str, hint: str | None) -> None:
    """What went wrong and what mends it, on standard error."""
    import typer

    from flockpy.cli.output import safe, styled

    typer.echo(styled("flockpy: ", "red", err=True) + safe(message), err=True)
    if hint:
        typer.echo(safe(f"  → {hint}"), err=True)


if __name__ == "__main__":
    main()
