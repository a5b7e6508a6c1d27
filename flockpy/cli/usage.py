"""``flockpy usage`` and ``flockpy audit``: what was asked, and who changed what."""

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from flockpy.cli import output
from flockpy.cli.client import AsJson, BaseUrl, Token, connect
from flockpy.cli.output import Json
from flockpy.units import count_text, dollars_text, sparkline

usage = typer.Typer(help="Recent requests, or what they add up to.", invoke_without_command=True)
audit = typer.Typer(help="Who changed what.", invoke_without_command=True)

Limit = Annotated[int, typer.Option(min=1, metavar="N", help="At most so many.")]
Summary = Annotated[bool, typer.Option("--summary", help="What they add up to.")]


@usage.callback()
def usage_recent(
    context: typer.Context,
    limit: Limit = 20,
    user: Annotated[str, typer.Option(metavar="NAME", help="Only this user's.")] = "",
    summary: Summary = False,
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Recent requests, or what they add up to."""
    if context.invoked_subcommand:
        return
    api = connect(base_url, token)
    if summary and user:
        raise typer.BadParameter("the summary is of all users", param_hint="--user")
    if summary:
        found = api.get("/usage/summary")
        output.document(found) if as_json else _totals(_without_no_cost(found))
        return
    page = api.items("/usage/recent", limit, user=user or None)
    if as_json:
        output.document(page)
        return
    records = page["items"]
    paid = any(record.get("cost_usd") for record in records)
    output.table(
        (
            *("time", "user", "model", "surface", ">tokens in", ">out", ">first ms", ">total ms"),
            *((">cost",) if paid else ()),
            *("outcome", "request"),
        ),
        (_row(record, paid=paid) for record in records),
        empty=f"{user} has asked nothing yet" if user else "nothing was asked yet",
    )


def _row(record: dict[str, Any], *, paid: bool) -> tuple[object, ...]:
    first, cost = record.get("ttft_ms"), record.get("cost_usd")
    return (
        output.local_time(record["time"]),
        *(record[name] for name in ("user", "model", "surface", "prompt_tokens", "completion_tokens")),
        "-" if first is None else f"{first:.0f}",
        f"{record['duration_ms']:.0f}",
        *(("-" if not cost else dollars_text(cost),) if paid else ()),
        record["outcome"],
        record["request_id"],
    )


def _without_no_cost(found: dict[str, Any]) -> dict[str, Any]:
    """The summary as it is shown: who asks no vendor need not read of cost."""
    if found.get("cost_usd"):
        return found
    models = [
        {name: value for name, value in model.items() if name != "cost_usd"} for model in found["models"]
    ]
    return {name: value for name, value in found.items() if name != "cost_usd"} | {"models": models}


@audit.callback()
def audit_recent(
    context: typer.Context,
    limit: Limit = 20,
    actor: Annotated[str, typer.Option(metavar="NAME", help="Only what this one did.")] = "",
    summary: Summary = False,
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Who changed what."""
    if context.invoked_subcommand:
        return
    api = connect(base_url, token)
    if summary and actor:
        raise typer.BadParameter("the summary is of all actors", param_hint="--actor")
    if summary:
        found = api.get("/audit/summary")
        output.document(found) if as_json else _totals(found)
        return
    page = api.items("/audit/recent", limit, actor=actor or None)
    if as_json:
        output.document(page)
        return
    output.table(
        ("time", "actor", "action", "target", "detail"),
        (
            (output.local_time(e["time"]), e["actor"], e["action"], e["target"], e.get("detail") or "")
            for e in page["items"]
        ),
        empty=f"{actor} has changed nothing yet" if actor else "nothing was changed yet",
    )


def _verifier(path: str, good: str) -> Callable[..., None]:
    def verify(base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
        found = connect(base_url, token).get(path)
        if as_json:
            output.document(found)
        elif found["ok"]:
            output.line(good)
        else:
            _totals(found)
        if not found["ok"]:
            sys.stdout.flush()
            raise typer.Exit(1)

    return verify


usage.command("verify", help="Add the journal up again and compare it with the table.")(
    _verifier("/usage/verify", "the journal and the table agree")
)
audit.command("verify", help="Check the chain of hashes.")(_verifier("/audit/verify", "the chain is whole"))


def _totals(found: dict[str, Json]) -> None:
    """A summary of any shape: figures first, then its groups, lists as tables, series as a row of bars."""
    plain = {name: value for name, value in found.items() if not isinstance(value, dict | list)}
    output.facts({_title(name): _figure(value, name) for name, value in plain.items()})
    for name, value in found.items():
        if isinstance(value, dict):
            output.line(f"\n{_title(name)}")
            output.facts({f"  {key}": _figure(inner) for key, inner in value.items()})
        elif isinstance(value, list) and value:
            output.line(f"\n{_title(name)}")
            figures = [float(v) for v in value if isinstance(v, int | float)]
            rows = [row for row in value if isinstance(row, dict)]
            if figures:
                output.line(f"  {sparkline(figures)}")
            elif not rows:
                for text in value:
                    output.line(f"  {_figure(text)}")
            else:
                output.table(
                    [_title(column) for column in rows[0]],
                    ([_figure(v, k) or "-" for k, v in row.items()] for row in rows),
                    empty="",
                )


def _title(name: str) -> str:
    return name.removesuffix("_usd").replace("_", " ")


def _figure(value: Json, name: str = "") -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else "yes" if value else "no"
    if isinstance(value, int | float) and name == "cost_usd":
        return dollars_text(value) if value else ""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else count_text(value)
    return str(value)
