"""Model files and folders on the leader's machine: found, examined, and made into installed models."""

import asyncio
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from controlplane.cluster import views
from controlplane.cluster.events import Event, ModelInstalled, ModelScaled, PlacementDropped
from controlplane.cluster.join import Meta
from controlplane.cluster.state import ClusterState, InstalledModel
from controlplane.cluster.store import Cluster
from flockpy import gguf, modelfolder
from flockpy.errors import BadRequest, Conflict, FlockError, NotFound
from flockpy.modelfile import ModelMetadata, capabilities, details
from flockpy.paths import demo_model

DEMO = "flock-demo"
ID_PATTERN = "^[a-z0-9][a-z0-9._-]{0,99}$"
RESERVED = frozenset({"auto", "scan", "connect"})
SCAN_FILES = 10_000
"""Files that a scan looks at before it gives up, so that scanning / ends."""

_DEMO_SEEN = "demo.installed"
_PART = re.compile(r"-(\d{5})-of-(\d{5})$")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A usable model file or folder. `path` is absolute, `real` with links followed; `size_bytes` of all parts."""

    path: str
    real: str
    size_bytes: int
    metadata: ModelMetadata


def examine(path: Path) -> ModelFile:
    """Read what a file or a Hugging Face folder says of itself; it blocks.

    Raises NotFound or BadRequest with `field` ref.
    """
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError) as error:
        raise NotFound(
            "There is no such file on the leader's machine, or it may not be read.", field="ref"
        ) from error
    if stat.S_ISDIR(kind):
        return _examine_folder(path)
    if not stat.S_ISREG(kind):
        raise BadRequest("This is not a regular file.", field="ref")
    try:
        metadata = gguf.read_metadata(path)
    except BadRequest as error:
        error.field = "ref"
        raise
    if not capabilities(metadata):
        raise BadRequest(f"This file is no model by itself: it holds {metadata.kind} weights.", field="ref")
    return ModelFile(str(path), str(path.resolve()), _size(path, metadata), metadata)


def _examine_folder(path: Path) -> ModelFile:
    if not modelfolder.is_model_folder(path):
        raise BadRequest(
            "This is a directory, not a model file, and it holds no model (config.json and *.safetensors).",
            field="ref",
            hint=f"flockpy model scan {path}",
        )
    try:
        metadata = modelfolder.read_folder(path)
    except BadRequest as error:
        error.field = "ref"
        raise
    return ModelFile(str(path), str(path.resolve()), metadata.size_bytes, metadata)


def id_from(path: str) -> str:
    """A model id made of a file's name: ``Qwen3-0.6B-Q8_0.gguf`` gives ``qwen3-0.6b-q8_0``."""
    stem = _PART.sub("", Path(path).name.removesuffix(".gguf").removesuffix(".GGUF"))
    return re.sub(r"[^a-z0-9._]+", "-", stem.lower()).strip("-._")[:100].rstrip("-._") or "model"


def installed(file: ModelFile, id: str, node_id: str, now: float, *, force: bool = False) -> InstalledModel:
    """The model that a file on `node_id` is. `now` in seconds since the epoch."""
    return InstalledModel(
        id=id,
        name=file.metadata.name or id,
        source=f"file:{file.path}",
        path=file.path,
        size_bytes=file.size_bytes,
        context_window=file.metadata.context_length,
        capabilities=capabilities(file.metadata),
        engine="",
        node_id=node_id,
        details=details(file.metadata),
        created_at=now,
        force=force,
    )


def check_free(state: ClusterState, file: ModelFile, id: str) -> None:
    """Raises Conflict when the id or the file is taken already."""
    if id in RESERVED:
        raise Conflict(f"{id} means something else as a model name; give another id.", field="id")
    if id in views.models(state):
        raise Conflict(
            f"There is a model {id} already.",
            field="id",
            hint="give another id (--id), or remove that one first",
        )
    for model in state.models.values():
        if model.path and os.path.realpath(model.path) == file.real:
            raise Conflict(f"This file is installed already, as {model.id}.", field="ref")


def scan(directory: Path) -> Iterator[ModelFile]:
    """Usable model files under a directory, in order of their paths; it blocks. Raises NotFound."""
    if not directory.is_dir():
        raise NotFound("There is no such directory on the leader's machine.", field="dir")
    seen = 0
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        if modelfolder.CONFIG in names and modelfolder.is_model_folder(Path(folder)):
            with suppress(FlockError):
                yield examine(Path(folder))
        for name in sorted(names):
            seen += 1
            if seen > SCAN_FILES:
                return
            part = _PART.search(name.removesuffix(".gguf"))
            if not name.lower().endswith(".gguf") or (part and int(part.group(1)) != 1):
                continue
            try:
                yield examine(Path(folder, name))
            except FlockError:
                continue


async def ensure_demo_model(cluster: Cluster, meta: Meta) -> None:
    """Install the self-test model and have it loaded, once the leader's own node is there.

    Only the first time: a removed one stays removed. Its file moves with the program, so a later start mends its path.
    """
    while (node := views.leader_node(cluster.state)) is None:
        if cluster.closed:  # nobody waits any more: asking again would never let the loop turn
            return
        await cluster.changed(cluster.state.version, within=60)
    known = cluster.state.models.get(DEMO)
    path = str(demo_model())
    if known is None and await meta.get(_DEMO_SEEN) is None:
        file = await asyncio.to_thread(examine, demo_model())
        model = installed(file, DEMO, node.id, cluster.clock.wall())
        model = msgspec.structs.replace(model, name="Self-test model", source="bundled")
        await cluster.commit(ModelInstalled(model), ModelScaled(DEMO, 1, cluster.clock.monotonic()))
        await meta.set(_DEMO_SEEN, "1")
    elif known is not None and known.path != path:
        await cluster.commit(*_moved(cluster.state, msgspec.structs.replace(known, path=path)))


def _moved(state: ClusterState, model: InstalledModel) -> list[Event]:
    outdated = [id for id, d in state.desired.items() if d.spec.model.id == model.id]
    return [ModelInstalled(model), *(PlacementDropped(id) for id in outdated)]


def _size(path: Path, metadata: gguf.ModelMetadata) -> int:
    """Bytes of all parts. Raises NotFound when one is missing, BadRequest when `path` is not the first."""
    if metadata.parts == 1:
        return metadata.size_bytes
    match = _PART.search(path.stem)
    if match is None or int(match.group(1)) != 1:
        raise BadRequest(
            f"This is one of {metadata.parts} parts; give the first (…-00001-of-{metadata.parts:05}.gguf).",
            field="ref",
        )
    base = path.stem[: match.start()]
    total = 0
    for number in range(1, metadata.parts + 1):
        part = path.with_name(f"{base}-{number:05}-of-{metadata.parts:05}.gguf")
        try:
            total += part.stat().st_size
        except OSError as error:
            raise NotFound(f"Part {number} of {metadata.parts} is missing beside it.", field="ref") from error
    return total
