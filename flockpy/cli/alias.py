"""``flockpy model alias …``"""

from typing import Annotated, Any

import typer

from flockpy.cli import output
from flockpy.cli.client import AsJson, BaseUrl, Token, Yes, connect
from flockpy.cli.pick import choose

app = typer.Typer(help="Second names of models, for clients that ask for others.", no_args_is_help=True)

_SOURCES = {"command": "a command", "config": "the configuration", "shipped": "shipped"}


@app.command("ls")
def ls(base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
    """List the aliases that hold, in the order in which they are tried."""
    page = connect(base_url, token).items("/aliases")
    if as_json:
        output.document(page)
        return
    rows = ((a["name"], _leads_to(a), _SOURCES[a["source"]], a["trouble"] or "") for a in page["items"])
    output.table(("name", "leads to", "said by", "does nothing because"), rows, empty="there are no aliases")


@app.command("add")
def add(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="What clients ask for; * is any text: 'claude-*haiku*'.")
    ],
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A model's id; auto: the default one; '': none, a 404.")
    ],
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Have requests for NAME served by MODEL, from the next one on; goes before the configuration's aliases."""
    alias = connect(base_url, token).post("/aliases", {"name": name, "model": model})
    if as_json:
        output.document(alias)
        return
    output.line(f"{alias['name']} leads to {_leads_to(alias)}")


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One that `alias add` has set.")] = "",
    yes: Yes = False,
    base_url: BaseUrl = "",
    token: Token = "",
) -> None:
    """Take back an alias that a command set; what the configuration says of that name, or flockpy, holds again."""
    api = connect(base_url, token)
    ours = {a["name"]: _leads_to(a) for a in api.items("/aliases")["items"] if a["source"] == "command"}
    chosen = name or choose(name, "alias", ours)
    output.confirm(f"Remove the alias {chosen}?", yes)
    api.delete("/aliases", name=chosen)
    output.line(f"removed {chosen}")


def _leads_to(alias: dict[str, Any]) -> str:
    return str(alias["model"] or "nowhere")
