"""``flockpy invite``: a key for a colleague, with all they need to use it."""

import os
from typing import Annotated, Any, Literal

import typer

from flockpy.cli import bound, output
from flockpy.cli.client import Token, admin_key, leader_url, running_url
from flockpy.cli.client import connect as connect_to
from flockpy.config import names_in
from flockpy.settings import load


def invite(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is.")],
    quota: Annotated[
        int, typer.Option(min=0, metavar="TOKENS", help="Tokens a day (UTC); 0 is no limit.")
    ] = 0,
    clients: Annotated[str, typer.Option(metavar="A,B", help="Only these clients.")] = "",
    model: Annotated[str, typer.Option(metavar="ID", help="The model they are set up with.")] = "",
    models: Annotated[str, typer.Option(metavar="A,B", help="Only these models.")] = "",
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="The leader's address for your colleague.")
    ] = "",
    format: Annotated[
        Literal["markdown", "json"], typer.Option(help="A card to paste, or JSON.")
    ] = "markdown",
    token: Token = "",
) -> None:
    """Make a user's key, and print a card to paste to a colleague. The key is shown once."""
    body: dict[str, Any] = {"name": name}
    if quota:
        body["daily_token_quota"] = quota
    if named := list(names_in(clients)):
        body["clients"] = named
    if model:
        body["model"] = model
    if only := list(names_in(models)):
        body["models"] = only
    if base_url:
        body["base_url"] = base_url
    settings = load(os.environ)
    # The address on the card may be one that this machine does not reach: a leader that runs here is asked here.
    door = running_url(settings) or base_url or leader_url(settings)
    api = connect_to(door, token or os.environ.get("FLOCK_TOKEN", "").strip() or admin_key(settings))
    made = api.post("/invites", body)
    if format == "json":
        output.document(made)
    else:
        output.line(made["card"].rstrip())
        for client in made["clients"]:
            for warning in client["warnings"]:
                output.note(f"warning: {warning}")
        output.note(f"the key is shown this once; to take it away: flockpy token revoke {made['id']}")
    bound.warn_of(only, api)
