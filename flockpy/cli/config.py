"""``flockpy config …``"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from typing import Any, cast

import typer

from flockpy.cli import output
from flockpy.cli.client import AsJson, BaseUrl, Token, connect
from flockpy.config import Config, flatten, redacted
from flockpy.security import private_dir, write_private
from flockpy.settings import config_file, load

app = typer.Typer(help="The configuration.", no_args_is_help=True)

_TEMPLATE = """\
# flockpy needs no configuration; what stands here wins over the defaults shown.
# Environment variables and flags win over this file. `flockpy config show` tells what holds.
#
"""


@app.command("show")
def show(base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
    """What holds, with where each value comes from; secrets are not shown. With --base-url: that leader's."""
    found: dict[str, Any]
    if base_url:
        found = connect(base_url, token).get("/config")
    else:
        settings = load(os.environ)
        values, sources = redacted(settings.config), dict(settings.sources)
        found = {"values": values, "sources": sources, "path": str(settings.file)}
    if as_json:
        output.document(found)
        return
    rows = [(key, _text(value), found["sources"].get(key, "")) for key, value in found["values"].items()]
    output.table(("key", "value", "from"), rows, empty="nothing is configured")


@app.command("path")
def path(as_json: AsJson = False) -> None:
    """Where the configuration file is, whether it exists or not."""
    file = config_file(os.environ)
    if as_json:
        output.document({"path": str(file), "exists": file.exists()})
    else:
        output.line(str(file))


@app.command("edit")
def edit() -> None:
    """Open the configuration file in your editor, and check it afterwards."""
    file = config_file(os.environ)
    editor = (
        os.environ.get("VISUAL") or os.environ.get("EDITOR") or shutil.which("nano") or shutil.which("vi")
    )
    if not editor or not sys.stdin.isatty():
        output.line(f"{editor or '$EDITOR'} {shlex.quote(str(file))}")
        return
    if not file.exists():
        private_dir(file.parent)
        write_private(file, _TEMPLATE + _commented_defaults())
    subprocess.run([*shlex.split(editor), str(file)], check=False)
    load(os.environ)
    output.line("the file is right; restart flockpy for it to hold: flockpy down, flockpy up")


def _commented_defaults() -> str:
    lines: list[str] = []
    shown: list[str] = []
    for key, value in flatten(Config()).items():
        *sections, name = key.split(".")
        for depth, section in enumerate(sections):
            if shown[: depth + 1] != sections[: depth + 1]:
                lines.append("  " * depth + f"{section}:")
        shown = sections
        lines.append("  " * len(sections) + f"{name}: {json.dumps(value)}")
    return "".join(f"# {line}\n" for line in lines)


def _text(value: object) -> str:
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return ", ".join(f"{name} → {model}" for name, model in named.items())
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
