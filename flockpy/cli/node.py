"""``flockpy node …``"""

from typing import Annotated, Any

import typer

from flockpy.cli import output
from flockpy.cli.client import Api, AsJson, BaseUrl, Token, connect
from flockpy.cli.pick import choose
from flockpy.units import bytes_text

app = typer.Typer(help="The machines of the cluster.", no_args_is_help=True)

NodeId = Annotated[str, typer.Argument(metavar="ID", help="A node's id or host name.")]


@app.command("ls")
def ls(base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
    """List the nodes."""
    page = connect(base_url, token).items("/nodes")
    if as_json:
        output.document(page)
        return
    output.table(
        ("id", "hostname", "role", "state", "hardware", "serving", "last seen"),
        (
            (
                node["id"],
                node["hostname"],
                node["role"],
                node["state"],
                hardware(node),
                ", ".join(p["model_id"] for p in node.get("placements", []) if p["state"] == "ready") or "-",
                output.ago(node.get("last_seen")),
            )
            for node in page["items"]
        ),
        empty="no node has joined",
    )


@app.command("show")
def show(node: NodeId = "", base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
    """Everything about one node."""
    api = connect(base_url, token)
    found = api.get(f"/nodes/{pick_node(api, node, interactive=not as_json)}")
    if as_json:
        output.document(found)
        return
    output.facts(
        {
            "id": found["id"],
            "hostname": found["hostname"],
            "role": found["role"],
            "state": found["state"],
            "version": found.get("version"),
            "address": found.get("address"),
            "hardware": hardware(found),
            "last seen": output.ago(found.get("last_seen")),
        }
    )
    output.line()
    output.table(
        ("engine", "state", "version", "reason"),
        (
            (
                e["name"],
                "ready" if e["available"] else "not available",
                e.get("version", ""),
                e.get("reason", ""),
            )
            for e in found.get("engines", [])
        ),
        empty="it knows no engine",
    )
    output.line()
    output.table(
        ("placement", "model", "engine", "state", ">memory", "reason"),
        (
            (
                p["id"],
                p["model_id"],
                p.get("engine", ""),
                p["state"],
                bytes_text(p["memory_bytes"]) if p.get("memory_bytes") else "",
                p.get("reason") or "",
            )
            for p in found.get("placements", [])
        ),
        empty="it serves no model",
    )


def pick_node(api: Api, given: str, *, interactive: bool = True) -> str:
    """The id of the node that was meant, by id or by host name."""
    nodes = api.items("/nodes")["items"]
    named = [node["id"] for node in nodes if node["hostname"] == given]
    return choose(
        named[0] if len(named) == 1 else given,
        "node",
        {node["id"]: f"{node['hostname']}, {node['state']}" for node in nodes},
        interactive=interactive,
    )


def hardware(node: dict[str, Any]) -> str:
    """``16 cores, 64.0 GiB, RTX 4090``."""
    found = node.get("hardware")
    if not found:
        return ""
    devices = [device["name"] for device in found.get("devices", []) if device["kind"] != "cpu"]
    return ", ".join([f"{found['physical_cores']} cores", bytes_text(found["memory_bytes"]), *devices])
