"""``flockpy status``: what runs, at one glance."""

from flockpy.cli import output, vendors
from flockpy.cli.client import AsJson, BaseUrl, Token, connect


def status(base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
    """Role, leader, nodes, engines, models and version."""
    api = connect(base_url, token)
    state = api.get("/status")
    if as_json:
        output.document(state)
        return
    nodes = api.items("/nodes")["items"]
    models = api.items("/models")["items"]
    by_state: dict[str, int] = {}
    for model in models:
        by_state[model["state"]] = by_state.get(model["state"], 0) + 1
    output.facts(
        {
            "role": state.get("role"),
            "leader": api.base_url,
            "version": state.get("version"),
            "nodes": ", ".join(f"{node['hostname']} ({node['state']})" for node in nodes) or "none",
            "engines": ", ".join(state.get("engines") or ()) or "none available; flockpy doctor tells why",
            "models": ", ".join(f"{n} {name}" for name, n in sorted(by_state.items())) or "none",
            "vendors": vendors.in_words(api),
            "degraded": state.get("degraded"),
        }
    )
    output.failures(models)
