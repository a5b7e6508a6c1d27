"""``flockpy model …``"""

from pathlib import Path
from typing import Annotated, Any

import typer

from flockpy.cli import output, vendors
from flockpy.cli.client import Api, AsJson, BaseUrl, Token, Yes, connect
from flockpy.cli.operations import follow
from flockpy.cli.pick import choose
from flockpy.errors import StartError
from flockpy.units import bytes_text, count_text

app = typer.Typer(help="The models the cluster serves.", no_args_is_help=True)

ModelId = Annotated[str, typer.Argument(metavar="ID", help="A model's id.")]


@app.command("ls")
def ls(
    of_vendors: Annotated[
        bool, typer.Option("--vendors", help="Vendors' models that may be asked, and their prices.")
    ] = False,
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """List the installed models, loaded or not; with --vendors, those of vendors."""
    api = connect(base_url, token)
    if of_vendors:
        vendors.list_models(api, as_json)
        return
    page = api.items("/models")
    if as_json:
        output.document(page)
        return
    output.table(
        ("id", ">size", ">context", "state", "nodes", "capabilities"),
        (
            (
                model["id"],
                bytes_text(model["size_bytes"]),
                count_text(model["context_window"]),
                model["state"],
                ", ".join(sorted({p["node_id"] for p in model["placements"]})) or "-",
                ", ".join(model["capabilities"]),
            )
            for model in page["items"]
        ),
        empty="no model is installed; add one: flockpy model add file:PATH.gguf",
    )
    output.failures(page["items"])
    if names := vendors.names(api):
        output.note(f"beside them stand models of {names}: flockpy model ls --vendors")


@app.command("info")
def info(model: ModelId = "", base_url: BaseUrl = "", token: Token = "", as_json: AsJson = False) -> None:
    """Everything about one model."""
    api = connect(base_url, token)
    installed = {one["id"] for one in api.items("/models")["items"]}
    if model and model not in installed and (theirs := vendors.find_model(api, model)) is not None:
        output.document(theirs) if as_json else vendors.show_model(theirs)
        return
    found = api.get(f"/models/{pick_model(api, model, interactive=not as_json)}")
    if as_json:
        output.document(found)
        return
    output.facts(
        {
            "id": found["id"],
            "name": found["name"],
            "source": found["source"],
            "size": bytes_text(found["size_bytes"]),
            "context": f"{found['context_window']} tokens",
            "capabilities": ", ".join(found["capabilities"]),
            "engine": found.get("engine"),
            "state": found["state"],
            "reason": found.get("reason"),
        }
    )
    output.facts(found.get("details") or {})
    output.line()
    output.table(
        ("placement", "node", "engine", "state", ">slots", ">context", "reason"),
        (
            (
                p["id"],
                p["node_id"],
                p.get("engine") or "",
                p["state"],
                p.get("slots") or "",
                p.get("context_window") or "",
                p.get("reason") or "",
            )
            for p in found["placements"]
        ),
        empty="it runs nowhere; the first request loads it",
    )


@app.command("add")
def add(
    ref: Annotated[str, typer.Argument(metavar="REF", help="file:PATH.gguf")],
    name: Annotated[str, typer.Option("--id", metavar="ID", help="What requests call it.")] = "",
    load: Annotated[bool, typer.Option("--load", help="Load it now, not on its first request.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even when memory looks too small.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what it would take.")] = False,
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Install a model."""
    body: dict[str, Any] = {"ref": reference(ref), "force": force, "load": load, "dry_run": dry_run}
    if name:
        body["id"] = name
    api = connect(base_url, token)
    answer = api.post("/models", body)
    if dry_run:
        preview(answer, as_json)
        return
    operation = follow(api, answer["operation"], quiet=as_json)
    if as_json:
        output.document({**answer, "operation": operation})
        return
    model_id = (answer.get("model") or {"id": operation["target"]})["id"]
    output.line(f"added {model_id}" + (", loaded" if load else "; its first request loads it"))


@app.command("remove")
def remove(model: ModelId = "", yes: Yes = False, base_url: BaseUrl = "", token: Token = "") -> None:
    """Stop serving a model and forget it. A file that was added with file: stays where it is."""
    api = connect(base_url, token)
    chosen = pick_model(api, model)
    output.confirm(f"Remove {chosen}?", yes)
    _settle(api, api.delete(f"/models/{chosen}"))
    output.line(f"removed {chosen}")


@app.command("load")
def load(model: ModelId = "", base_url: BaseUrl = "", token: Token = "") -> None:
    """Load a model now and keep it loaded."""
    api = connect(base_url, token)
    chosen = pick_model(api, model)
    _settle(api, api.post(f"/models/{chosen}/load"))
    output.line(f"loaded {chosen}")


@app.command("unload")
def unload(model: ModelId = "", base_url: BaseUrl = "", token: Token = "") -> None:
    """Free the memory of a model; its next request loads it again."""
    api = connect(base_url, token)
    chosen = pick_model(api, model)
    _settle(api, api.post(f"/models/{chosen}/unload"))
    output.line(f"unloaded {chosen}")


@app.command("scan")
def scan(
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="On the leader's machine; else its models folder.")
    ] = None,
    base_url: BaseUrl = "",
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Find GGUF files that are not installed yet."""
    body = {} if directory is None else {"dir": str(directory.expanduser().absolute())}
    found = connect(base_url, token).post("/models/scan", body)
    if as_json:
        output.document(found)
        return
    output.table(
        ("id", ">size", "installed", "path"),
        (
            (f["id"], bytes_text(f["size_bytes"]), "yes" if f["installed"] else "no", f["path"])
            for f in found["items"]
        ),
        empty="there is no GGUF file there",
    )
    if any(not file["installed"] for file in found["items"]):
        output.note("add one: flockpy model add file:PATH")


def reference(ref: str) -> str:
    """The reference as the leader takes it: an absolute path. Raises StartError for kinds that are not built."""
    kind, colon, rest = ref.partition(":")
    if colon and kind in ("hf", "ollama"):
        raise StartError(
            f"{kind}: references are not built yet; they are on the roadmap",
            hint="download the GGUF file and say: flockpy model add file:PATH.gguf",
        )
    path = Path(rest if kind == "file" and colon else ref).expanduser()
    if (kind == "file" and colon) or path.suffix == ".gguf":
        return f"file:{path.absolute()}"
    raise StartError(
        f"{ref!r} is no model file; installing from the catalog is not built yet, it is on the roadmap",
        hint="flockpy model add file:PATH.gguf",
    )


def preview(answer: dict[str, Any], as_json: bool) -> None:
    """What installing would take."""
    if as_json:
        output.document(answer)
        return
    shown = {
        name.removesuffix("_bytes").replace("_", " "): bytes_text(value)
        if name.endswith("_bytes") and isinstance(value, int)
        else value
        for name, value in answer.items()
        if not isinstance(value, dict | list) and name != "refusal"
    }
    output.facts(shown)
    if "refusal" in answer:
        output.line(f"refused without --force: {answer['refusal']}" if answer["refusal"] else "it fits")


def pick_model(api: Api, given: str, *, interactive: bool = True) -> str:
    """The id of the installed model that was meant."""
    models = api.items("/models")["items"]
    words = {m["id"]: f"{m['state']}, {bytes_text(m['size_bytes'])}" for m in models}
    return choose(given, "model", words, interactive=interactive)


def _settle(api: Api, answer: Any) -> None:
    """Wait for the operation that a call started, if it started one."""
    if isinstance(answer, dict) and "operation" in answer:
        follow(api, answer["operation"], quiet=False)  # pyright: ignore[reportUnknownArgumentType]
