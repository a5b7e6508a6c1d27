"""What engines on the leader's machine print: the last lines, and what follows as server-sent events."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Annotated

import msgspec
from litestar import Response
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent

from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from controlplane.api.shapes import Page
from controlplane.cluster import views
from controlplane.cluster.store import Cluster
from flockpy.errors import Conflict, NotFound, UnknownModel
from flockpy.security import redact

TAIL_BYTES = 4 * 2**20
LOOK_EVERY_S = 0.5
KEEP_ALIVE_S = 15.0


class LogLine(msgspec.Struct, frozen=True):
    node_id: str
    model_id: str
    line: str


@read(
    f"{ADMIN}/logs",
    "Engine logs",
    may=(404, 409),
    kinds=("application/json", "text/event-stream"),
)
async def logs(
    services: Needs,
    model: Annotated[str | None, QueryParameter(description="A model's id; all models if left out.")] = None,
    node: Annotated[str | None, QueryParameter(description="A node's id.")] = None,
    lines: Annotated[int, QueryParameter(ge=1, le=10_000)] = 200,
    follow: Annotated[bool, QueryParameter(description="Go on with an event for each new line.")] = False,
) -> Response[Page[LogLine]] | ServerSentEvent:
    """Only of engines on the leader's own machine; other nodes keep theirs."""
    state = services.cluster.state
    own = views.leader_node(state)
    if node is not None and node not in state.nodes:
        raise NotFound(f"There is no node {node}.", field="node", hint="flockpy node ls")
    if node is not None and (own is None or node != own.id):
        raise Conflict("Only the logs of the leader's own machine can be read from here.", field="node")
    known = views.models(state)
    if model is not None and model not in known:
        raise UnknownModel(f"There is no model {model}.", field="model", hint="flockpy model ls")
    node_id = own.id if own else ""
    tails = [
        Tail(services.settings.data.engine_log(id), node_id, id)
        for id in ([model] if model else sorted(known))
    ]
    last = [line for tail in tails for line in await asyncio.to_thread(tail.last, lines)]
    if follow:
        return ServerSentEvent(_follow(services.cluster, tails, last))
    return Response(Page(last))


HANDLERS: list[HTTPRouteHandler] = [logs]


class Tail:
    """A log file read from its end on; one that is cut short or replaced is read anew from its start."""

    def __init__(self, path: Path, node_id: str, model_id: str) -> None:
        self._path = path
        self._node_id = node_id
        self._model_id = model_id
        self._offset = 0
        self._file: int = 0
        self._rest = b""

    def last(self, lines: int) -> list[LogLine]:
        """The last lines there are; what comes later is for `more`."""
        try:
            found = self._path.stat()
        except OSError:
            return []
        self._file, self._offset = found.st_ino, max(found.st_size - TAIL_BYTES, 0)
        skipped = self._offset > 0
        return self.more()[skipped:][-lines:]

    def more(self) -> list[LogLine]:
        """Whole lines written since."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._offset:
                    self._file, self._offset, self._rest = found.st_ino, 0, b""
                file.seek(self._offset)
                read = file.read(TAIL_BYTES)
        except OSError:
            return []
        self._offset += len(read)
        *whole, self._rest = (self._rest + read).split(b"\n")
        return [
            LogLine(self._node_id, self._model_id, redact(line.decode("utf-8", "replace").rstrip("\r")))
            for line in whole
        ]


async def _follow(cluster: Cluster, tails: list[Tail], last: list[LogLine]) -> AsyncGenerator[dict[str, str]]:
    silent = 0.0
    while not cluster.closed:
        for line in last:
            yield {"data": msgspec.json.encode(line).decode()}
        silent = 0.0 if last else silent + LOOK_EVERY_S
        if silent >= KEEP_ALIVE_S:
            silent = 0.0
            yield {"comment": "still here"}
        await asyncio.sleep(LOOK_EVERY_S)
        last = [line for tail in tails for line in await asyncio.to_thread(tail.more)]
