"""Every command by name. Commands import what they need when they run, so that ``--help`` answers at once."""

import os
from typing import Annotated, Literal

import typer

from flockpy.cli import (
    alias,
    backup,
    config,
    connect,
    doctor,
    invite,
    logs,
    model,
    node,
    output,
    status,
    token,
    up,
    usage,
)
from flockpy.cli.client import AsJson
from flockpy.errors import StartError
from flockpy.version import VERSION

app = typer.Typer(
    name="flockpy",
    help="One URL and one key for the language models on every machine you own.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def version(as_json: AsJson = False) -> None:
    """The version of this program."""
    if as_json:
        output.document({"version": VERSION})
    else:
        output.line(f"flockpy {VERSION}")


def not_built(context: typer.Context) -> None:
    """Not built yet."""
    raise StartError(f"`{context.command_path}` is not built yet; it is on the roadmap")


def completion(
    shell: Annotated[
        Literal["bash", "zsh", "fish"], typer.Argument(metavar="SHELL", help="bash, zsh or fish")
    ],
) -> None:
    """Print what makes the shell complete flockpy commands: eval "$(flockpy completion bash)"."""
    os.environ["_FLOCKPY_COMPLETE"] = f"source_{shell}"
    app(prog_name="flockpy")


for command in (up.up, up.down, status.status, doctor.doctor):
    app.command()(command)
for name, group in (
    ("model", model.app),
    ("node", node.app),
    ("token", token.app),
    ("usage", usage.usage),
    ("audit", usage.audit),
):
    app.add_typer(group, name=name)
model.app.add_typer(alias.app, name="alias")
for command in (connect.connect, connect.disconnect, invite.invite, logs.why, logs.logs):
    app.command()(command)
app.add_typer(config.app, name="config")
for command in (backup.backup, backup.restore, version, completion):
    app.command()(command)

_LATER = {
    app: ("join", "update", "upgrade", "shard", "bench", "simulate"),
    model.app: ("search", "connect", "adapter"),
    node.app: ("drain", "undrain", "remove"),
}
_ANYTHING = {"allow_extra_args": True, "ignore_unknown_options": True}
for group, names in _LATER.items():
    for name in names:
        group.command(name, hidden=True, context_settings=_ANYTHING)(not_built)
