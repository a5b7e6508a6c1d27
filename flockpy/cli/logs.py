"""``flockpy logs`` and ``flockpy why``: what happened."""

import json
from typing import Annotated, Any

import typer

from flockpy.cli import output
from flockpy.cli.client import AsJson, BaseUrl, Token, connect
from flockpy.cli.node import pick_node
from flockpy.cli.output import Json
from flockpy.cli.pick import choose
from flockpy.units import dollars_text


def logs(
    node: Annotated[str, typer.Argument(metavar="NODE", help="A node's id or host name.")] = "",
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The engines of this model.")] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many at first.")] = 200,
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Engine and node logs. One argument that is no node is taken for a model."""
    api = connect(base_url, token)
    if node and not model and node in {found["id"] for found in api.items("/models")["items"]}:
        node, model = "", node
    query = {
        "node": pick_node(api, node, interactive=not as_json) if node else None,
        "model": model or None,
        "lines": lines,
    }
    if not follow:
        found = api.get("/logs", **query)
        if as_json:
            output.document(found)
        else:
            for entry in found["items"]:
                output.line(_line(entry))
        return
    for event in api.events("/logs", follow="true", **query):
        output.line(event if as_json else _line(json.loads(event)))


def why(
    request: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="From x-request-id.")] = "",
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Why a request went where it went: every candidate, and what spoke for and against it."""
    api = connect(base_url, token)
    if not request:
        recent = api.items("/usage/recent", 50)["items"]
        words = {r["request_id"]: f"{r['model']}, {r['outcome']}, {output.ago(r['time'])}" for r in recent}
        request = choose(request, "request", words, interactive=not as_json)
    found = api.get(f"/requests/{request}")
    if as_json:
        output.document(found)
        return
    receipt: dict[str, Json] = found["receipt"] or {}
    said = {name: value for name, value in (*found.items(), *receipt.items()) if name not in _APART}
    cost = found.get("cost_usd")
    shown = {**said, "cost_usd": dollars_text(cost) if cost else None}
    output.facts({_title(name.removesuffix("_usd")): _cell(value) for name, value in shown.items()})
    attempts = receipt.get("attempts")
    for number, attempt in enumerate(attempts if isinstance(attempts, list) else [], 1):
        if isinstance(attempt, dict):
            _attempt(number, attempt)
    if not receipt:
        output.note("only its usage record is left; receipts are kept for the latest requests")


_APART = ("receipt", "attempts")


def _attempt(number: int, attempt: dict[str, Json]) -> None:
    """One try: what and where and why, what came of it, and everything that was considered."""
    outcome = f"failed: {attempt['error']}" if attempt.get("error") else "good"
    placement = attempt.get("placement_id")
    where = f"{placement} on {attempt.get('node_id')}" if placement else attempt.get("node_id")
    model = f"{attempt['model_id']} at " if attempt.get("model_id") else ""
    output.line(f"\ntry {number}: {model}{where}: {outcome}")
    output.line(f"  because {attempt.get('reason')}")
    candidates = attempt.get("candidates")
    rows = [row for row in candidates if isinstance(row, dict)] if isinstance(candidates, list) else []
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if rows:
        output.table(columns, ([_cell(row.get(column)) for column in columns] for row in rows), empty="")


def _line(entry: dict[str, Any]) -> str:
    return f"{entry['model_id'] or entry['node_id']}: {entry['line']}"


def _title(name: str) -> str:
    return name.replace("_", " ")


def _cell(value: Json) -> str:
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
