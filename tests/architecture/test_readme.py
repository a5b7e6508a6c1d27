"""The README tells the truth about what a program can compare: configuration keys, variables, commands."""

import re

import typer.main
from typer.core import TyperGroup

from flockpy.cli.app import app
from flockpy.config import leaf_types
from flockpy.settings import ENVIRONMENT
from tests.architecture.project import ROOT

README = (ROOT / "README.md").read_text()


def test_the_readme_names_every_configuration_key_with_its_variable() -> None:
    table = README[README.index("## Configuration") : README.index("## Testing")]
    rows = {key: line for line in table.splitlines() for key in re.findall(r"^\| `([\w.*]+)`", line)}
    sections = {key.removesuffix(".*") for key in rows if key.endswith(".*")}
    keys = {key for key in leaf_types() if not any(key.startswith(section + ".") for section in sections)}
    assert keys == {key for key in rows if not key.endswith(".*")}
    wrong = [
        f"{key}: {variable}" for variable, key in ENVIRONMENT.items() if f"`{variable}`" not in rows[key]
    ]
    assert not wrong
    assert set(re.findall(r"`(FLOCK_\w+)`", table)) <= set(ENVIRONMENT)


def test_the_readme_names_every_command() -> None:
    table = README[README.index("## Commands") : README.index("## Configuration")]
    commands = typer.main.get_command(app)
    assert isinstance(commands, TyperGroup)
    missing = [
        name for name, command in commands.commands.items() if not command.hidden and f"`{name}" not in table
    ]
    assert not missing
