"""Models: add, list, show, remove, load, unload, and find files that could be added."""

import asyncio
import os
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, JSONBody

from controlplane.api import shapes
from controlplane.api.auth import ApiRequest
from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, act, read, remove
from controlplane.api.services import Needs
from controlplane.cluster import install, views
from controlplane.cluster.events import Event, ModelInstalled, ModelRemoved, ModelScaled, PlacementDropped
from controlplane.cluster.operations import Operation
from controlplane.cluster.state import ClusterState, InstalledModel, NodeState
from controlplane.scheduler import fit
from flockpy.engines import DRIVERS
from flockpy.engines.choice import choose_driver
from flockpy.errors import BadRequest, Conflict, NotFound, Overloaded, UnknownModel
from flockpy.placement import Failed

LATER = ("hf:", "ollama:", "http:", "https:")
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]


class AddModel(msgspec.Struct, frozen=True):
    """`ref`: ``file:`` and an absolute path on the leader's machine. `id`: made of the file's name if left out.

    `load` true loads it and keeps it loaded; otherwise its first request loads it. `force` skips the memory
    check. `dry_run` changes nothing and tells what would be done.
    """

    ref: Text
    id: Annotated[str, msgspec.Meta(pattern=install.ID_PATTERN)] | None = None
    force: bool = False
    load: bool = False
    dry_run: bool = False


class AddPlan(msgspec.Struct, frozen=True):
    """What adding would do. `needed_bytes` is the least memory it takes, `memory_bytes` what its node has.

    `engine` is what would run it there, "" when nothing can, for `engine_trouble`. `refusal` is why it would be refused
    without `force`, or None.
    """

    id: str
    node_id: str
    engine: str
    engine_trouble: str | None
    size_bytes: int
    needed_bytes: int
    memory_bytes: int | None
    refusal: str | None


class Started(msgspec.Struct, frozen=True):
    """Something is under way: the operation to follow, and the model it is about."""

    operation: shapes.Operation
    model: shapes.Model


class Scan(msgspec.Struct, frozen=True):
    """`dir`: absolute, on the leader's machine; left out, the configured models directory."""

    dir: Annotated[str, msgspec.Meta(pattern="^/", max_length=4096)] | None = None


class Found(msgspec.Struct, frozen=True):
    """A model file, to be added by `ref` unless it is installed."""

    ref: str
    path: str
    id: str
    installed: bool
    name: str
    size_bytes: int
    architecture: str
    quantization: str


@read(f"{ADMIN}/models", "List models", may=(404,))
async def list_models(
    services: Needs, limit: Limit = 100, cursor: Cursor = None
) -> shapes.Page[shapes.Model]:
    state = services.cluster.state
    models = views.models(state).values()
    return page(models, limit, cursor, lambda model: model.id, lambda model: shapes.model(state, model))


@read(f"{ADMIN}/models/{{model_id:str}}", "Show a model", may=(404,))
async def show_model(model_id: FromPath[str], services: Needs) -> shapes.Model:
    state = services.cluster.state
    return shapes.model(state, _model(state, model_id))


@act(
    f"{ADMIN}/models",
    "Add a model",
    action="model.add",
    status=202,
    may=(404, 409),
    also={
        200: ResponseSpec(AddPlan, description="With `dry_run`: what would be done.", generate_examples=False)
    },
)
async def add_model(
    data: JSONBody[AddModel], request: ApiRequest, services: Needs
) -> Response[Started | AddPlan]:
    """Install a model file; with `load`, the operation answered goes on until the model serves."""
    cluster = services.cluster
    file = await asyncio.to_thread(install.examine, _path(data.ref))
    node = _leader_node(cluster.state)
    id = data.id or install.id_from(file.path)
    model = install.installed(file, id, node.id, services.clock.wall(), force=data.force)
    # from here to the events nothing waits: what is free now is free then
    install.check_free(cluster.state, file, id)
    plan = _plan(services, model, node)
    if data.dry_run:
        request.user.changes = False
        return Response(plan, status_code=200)
    if plan.refusal is not None and not data.force:
        raise Conflict(plan.refusal + ".", field="ref", hint="flockpy model add --force skips this check")
    request.user.note(id, ref=data.ref, force=data.force, load=data.load)
    events: list[Event] = [ModelInstalled(model)]
    if data.load:
        events.append(ModelScaled(id, 1, services.clock.monotonic()))
    await cluster.commit(*events)
    follow = services.operations.start if data.load else services.operations.done
    return Response(_started(services, follow("add", id), model), status_code=202)


@remove(f"{ADMIN}/models/{{model_id:str}}", "Remove a model", action="model.remove", may=(409,))
async def remove_model(model_id: FromPath[str], request: ApiRequest, services: Needs) -> shapes.Model:
    """It is asked for no more, and unloaded once its requests have ended. Its file stays where it is."""
    state = services.cluster.state
    model = shapes.model(state, _installed(state, model_id))
    request.user.note(model_id)
    await services.cluster.commit(ModelRemoved(model_id, services.clock.monotonic()))
    return model


@act(
    f"{ADMIN}/models/{{model_id:str}}/load",
    "Keep a model loaded",
    action="model.load",
    status=202,
    may=(404, 409),
)
async def load_model(model_id: FromPath[str], request: ApiRequest, services: Needs) -> Started:
    """Loads it, and keeps it loaded when idle. One that failed is tried anew."""
    cluster = services.cluster
    model = _installed(cluster.state, model_id)
    request.user.note(model_id)
    failed = [
        PlacementDropped(p.id)
        for p in views.placements(cluster.state)
        if p.model_id == model_id and p.desired and isinstance(p.status, Failed)
    ]
    await cluster.commit(*failed, ModelScaled(model_id, 1, services.clock.monotonic()))
    return _started(services, services.operations.start("load", model_id), model)


@act(
    f"{ADMIN}/models/{{model_id:str}}/unload",
    "Unload a model",
    action="model.unload",
    status=202,
    may=(404, 409),
)
async def unload_model(model_id: FromPath[str], request: ApiRequest, services: Needs) -> Started:
    """Running requests end first; the next one loads it again where loading on demand is on."""
    model = _installed(services.cluster.state, model_id)
    request.user.note(model_id)
    await services.cluster.commit(ModelScaled(model_id, 0, services.clock.monotonic()))
    return _started(services, services.operations.start("unload", model_id), model)


@act(f"{ADMIN}/models/scan", "Find model files", action=None, may=(404,))
async def scan(data: JSONBody[Scan], services: Needs) -> shapes.Page[Found]:
    directory = Path(data.dir) if data.dir else _models_dir(services)
    if not data.dir and not await asyncio.to_thread(directory.exists):
        return shapes.Page([])  # nobody has put a model there yet
    files = await asyncio.to_thread(lambda: list(islice(install.scan(directory), 1000)))
    paths = [model.path for model in services.cluster.state.models.values() if model.path]
    known = await asyncio.to_thread(lambda: {os.path.realpath(path) for path in paths})
    return shapes.Page([_found(file, file.real in known) for file in files])


HANDLERS: list[HTTPRouteHandler] = [
    list_models, show_model, add_model, remove_model, load_model, unload_model, scan
]  # fmt: skip


def _models_dir(services: Needs) -> Path:
    configured = services.config.storage.models_dir
    return Path(configured) if configured else services.settings.data.models


def _path(ref: str) -> Path:
    scheme, colon, path = ref.partition(":")
    if scheme == "file" and colon:
        if "\0" in path or not path.startswith("/"):
            raise NotFound("A file is named by its absolute path: file:/path/to/model.gguf.", field="ref")
        return Path(os.path.normpath(path))
    if ref.startswith(LATER):
        raise BadRequest(
            f"{scheme}: cannot be installed yet; download the file and add file:/path.", field="ref"
        )
    raise NotFound(
        "There is no such model in the catalog.", field="ref", hint="a file is named file:/path/to/model.gguf"
    )


def _plan(services: Needs, model: InstalledModel, node: NodeState) -> AddPlan:
    needed = fit.need(model, services.config.engine.defaults)
    total = fit.capacity(node.info.hardware) if node.info else None
    refusal = None if total is None else fit.refusal(model.id, needed, total)
    infos = {engine.name: engine for engine in node.info.engines} if node.info else {}
    preferred = services.config.engine.preferred
    driver = choose_driver(model.engine, fit.model_spec(model), preferred, DRIVERS.values(), infos)
    engine, trouble = ("", driver) if isinstance(driver, str) else (driver.name, None)
    return AddPlan(model.id, node.id, engine, trouble, model.size_bytes, needed, total, refusal)


def _started(services: Needs, operation: Operation, model: InstalledModel) -> Started:
    return Started(shapes.operation(operation), shapes.model(services.cluster.state, model))


def _leader_node(state: ClusterState) -> NodeState:
    node = views.leader_node(state)
    if node is None:
        raise Overloaded("The leader's own node has not joined yet.", retry_after=1)
    return node


def _model(state: ClusterState, model_id: str) -> InstalledModel:
    model = views.models(state).get(model_id)
    if model is None:
        raise UnknownModel(f"There is no model {model_id}.", hint="flockpy model ls")
    return model


def _installed(state: ClusterState, model_id: str) -> InstalledModel:
    """Raises UnknownModel, or Conflict for one that is only there because somebody else's engine serves it."""
    model = _model(state, model_id)
    if model_id not in state.models:
        raise Conflict(
            f"{model_id} is served by an engine that flockpy did not start; stop that engine instead."
        )
    return model


def _found(file: install.ModelFile, installed: bool) -> Found:
    return Found(
        ref=f"file:{file.path}",
        path=file.path,
        id=install.id_from(file.path),
        installed=installed,
        name=file.metadata.name,
        size_bytes=file.size_bytes,
        architecture=file.metadata.architecture,
        quantization=file.metadata.quantization,
    )
