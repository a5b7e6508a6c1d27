"""``flockpy token …``"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from flockpy.cli import bound, output
from flockpy.cli.client import AsJson, BaseUrl, Token, Yes, connect
from flockpy.cli.pick import choose
from flockpy.config import names_in
from flockpy.units import count_text

app = typer.Typer(help="API keys.", no_args_is_help=True)

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Whose or what for.")] = "",
    admin: Annotated[bool, typer.Option("--admin", help="May administer the cluster.")] = False,
    node: Annotated[bool, typer.Option("--node", hidden=True, help="Lets one more machine join.")] = False,
    quota: Annotated[int | None, typer.Option(min=1, metavar="TOKENS", help="Tokens a day (UTC).")] = None,
    models: Annotated[str, typer.Option(metavar="A,B", help="Only these models.")] = "",
    expires: Annotated[str, typer.Option(metavar="30d|DATE", help="When it stops working.")] = "",
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Make a key. It is shown once."""
    if admin and node:
        raise typer.BadParameter("a key is for admins or for a node, not for both", param_hint="--node")
    body: dict[str, Any] = {"name": name or ("node" if node else "admin" if admin else "user")}
    body["scope"] = "admin" if admin else "node" if node else "user"
    if quota is not None:
        body["daily_token_quota"] = quota
    if models:
        body["models"] = list(names_in(models))
    if expires:
        body["expires_at"] = _expiry(expires, datetime.now(UTC))
    api = connect(base_url, token)
    made = api.post("/tokens", body)
    if as_json:
        output.document(made)
    else:
        output.note("shown this once:")
        output.line(made["key"])
        if url := made.get("join_url"):
            output.note("on the machine that is to join:")
            output.line(f"flockpy join '{url}'")
    bound.warn_of(body.get("models", ()), api)


@app.command("ls")
def ls(base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
    """List the keys."""
    page = connect(base_url, token).items("/tokens")
    if as_json:
        output.document(page)
        return
    now = datetime.now(UTC)
    output.table(
        ("id", "name", "scope", "key", "state", ">quota/day", "models", "created"),
        (
            (
                key["id"],
                key["name"],
                key["scope"],
                f"{key['prefix']}…" if key["prefix"] else "joins once",
                state(key, now),
                count_text(key["daily_token_quota"]) if key.get("daily_token_quota") else "-",
                ", ".join(key.get("models") or []) or "all",
                output.ago(key.get("created_at"), now),
            )
            for key in page["items"]
        ),
        empty="there is no key",
    )


@app.command("revoke")
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, or its name.")] = "",
    yes: Yes = False,
    base_url: BaseUrl = "",
    token: Token = "",
) -> None:
    """Make a key stop working, at once and for good."""
    api = connect(base_url, token)
    now = datetime.now(UTC)
    keys = {found["id"]: found for found in api.items("/tokens")["items"] if state(found, now) == "active"}
    named = [key_id for key_id, found in keys.items() if found["name"] == key]
    words = {key_id: f"{found['name']}, {found['scope']}" for key_id, found in keys.items()}
    chosen = choose(named[0] if len(named) == 1 else key, "active key", words)
    output.confirm(f"Revoke {chosen} ({words[chosen]})?", yes)
    api.delete(f"/tokens/{chosen}")
    output.line(f"revoked {chosen} ({keys[chosen]['name']})")


def state(key: dict[str, Any], now: datetime) -> str:
    if key.get("revoked_at"):
        return "revoked"
    if (expires := key.get("expires_at")) and datetime.fromisoformat(expires) <= now:
        return "expired"
    return "active"


def _expiry(text: str, now: datetime) -> str:
    """An RFC 3339 time from ``30d``, ``12h`` or a date."""
    if text[:-1].isdigit() and text[-1:] in _UNITS:
        moment = now + timedelta(seconds=int(text[:-1]) * _UNITS[text[-1]])
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(
                f"{text!r} is neither a time span such as 30d, 12h or 45m nor a date such as 2030-01-31",
                param_hint="--expires",
            ) from None
        moment = moment.astimezone(UTC)
    if moment <= now:
        raise typer.BadParameter(f"{text!r} is in the past", param_hint="--expires")
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
