"""``flockpy logs`` and ``flockpy why``: what happened."""

import json
from typing import Annotated, Any

import typer

from flockpy.cli import output
from flockpy.cli.client import AsJson, BaseUrl, Token, connect
from flockpy.cli.node import pick_node
from flockpy.cli.output import Json
from flockpy.cli.pick import choose


def logs(
    node: Annotated[str, typer.Argument(metavar="[NODE]", help="A node's id or host name.")] = "",
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="The engines of this model.")] = "",
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
    request: Annotated[str, typer.Argument(metavar="[REQUEST_ID]", help="From x-request-id.")] = "",
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
    receipt: dict[str, Json] = found.get("receipt") or {}
    flat = {name: value for name, value in found.items() if name != "receipt"}
    output.facts({**_plain(flat), **_plain(receipt)})
    for name, value in receipt.items():
        rows = [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
        if rows:
            columns = list(dict.fromkeys(column for row in rows for column in row))
            output.line(f"\n{name}")
            output.table(columns, ([_cell(row.get(column)) for column in columns] for row in rows), empty="")


def _line(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    found: dict[str, Json] = entry  # pyright: ignore[reportUnknownVariableType]
    where = " ".join(str(found[name]) for name in ("node", "node_id", "model", "model_id") if found.get(name))
    text = found.get("line") or found.get("text") or found.get("message") or ""
    return f"{where}: {text}" if where else str(text)


def _plain(found: dict[str, Json]) -> dict[str, str]:
    return {
        name.replace("_", " "): _cell(value)
        for name, value in found.items()
        if value is not None and not (isinstance(value, list) and value and isinstance(value[0], dict))
    }


def _cell(value: Json) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_cell(inner) for inner in value)
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)
