"""The data plane: one plain ASGI callable in front of the admin application, which gets every path it does not know."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from controlplane.gateway.body import BodyReader, Receive
from controlplane.gateway.call import Call
from controlplane.gateway.pipeline import Pipeline
from controlplane.gateway.reply import Reply, Send
from controlplane.protocols.base import Surface
from controlplane.protocols.listing import render_list, render_one
from controlplane.protocols.openai_chat import ChatSurface, CompletionSurface, EmbeddingSurface
from controlplane.routing.table import RoutingTable
from controlplane.tenants.model import Key
from flockpy.clock import Clock
from flockpy.config import Limits
from flockpy.errors import FlockError, Forbidden, MethodNotAllowed, Overloaded, UnknownModel
from flockpy.ids import Entropy, RequestIds
from flockpy.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

Scope = dict[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = Mapping[bytes, bytes]
Authenticate = Callable[[Scope], Key | None]
"""The key a request presents; None where keys are not required. Raises Unauthenticated."""

SURFACES: Final[Mapping[str, Surface]] = {
    "/v1/chat/completions": ChatSurface(),
    "/v1/completions": CompletionSurface(),
    "/v1/embeddings": EmbeddingSurface(),
}
MODELS: Final = "/v1/models"
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class DataPlane:
    """`admin` serves every other path. `draining` makes new requests bounce while old ones finish."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        table: Callable[[], RoutingTable],
        authenticate: Authenticate,
        limits: Limits,
        metrics: Metrics,
        clock: Clock,
        entropy: Entropy,
        admin: App,
    ) -> None:
        self._pipeline = pipeline
        self._table = table
        self._authenticate = authenticate
        self._bodies = BodyReader(limits)
        self._metrics = metrics
        self._clock = clock
        self._next_id = RequestIds(entropy)
        self._admin = admin
        self.draining = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self._admin(scope, receive, send)
        path = scope["path"]
        surface = SURFACES.get(path)
        if surface is not None:
            return self._infer(surface, scope, receive, send)
        if path == MODELS or path.startswith(MODELS + "/"):
            return self._models(scope, send)
        if path == "/" and scope["method"] == "HEAD":
            return _nothing(send)
        return self._admin(scope, receive, send)

    async def _infer(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        call = self._call(surface)
        reply = Reply(send, call)
        gone: Any = None  # granian's own kind of future
        try:
            if scope["method"] != "POST":
                raise MethodNotAllowed(scope["method"], allow="POST")
            if self.draining:
                raise Overloaded("the leader is shutting down", retry_after=5)
            headers: Headers = dict(scope["headers"])
            call.key = self._user(scope)
            length = headers.get(b"content-length", b"")
            body = await self._bodies.read(receive, int(length) if length.isdigit() else None)
            gone = receive()
            gone.add_done_callback(partial(_client_left, call))
            await self._pipeline.run(call, body, _traceparent(headers), reply)
        except FlockError as error:
            self._metrics.refusals.labels(surface.name, error.code).inc()
            await reply.error(error)
        except Exception as error:  # noqa: BLE001 - the edge of the data plane
            await reply.error(_unexpected(call, error))
        finally:
            if gone is not None:
                gone.cancel()

    async def _models(self, scope: Scope, send: Send) -> None:
        call = self._call(SURFACES["/v1/chat/completions"])
        reply = Reply(send, call)
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise MethodNotAllowed(scope["method"], allow="GET, HEAD")
            headers: Headers = dict(scope["headers"])
            key = self._user(scope)
            allowed, table = key.models if key else None, self._table()
            anthropic = b"anthropic-version" in headers
            if scope["path"] in (MODELS, MODELS + "/"):
                body = render_list(table, allowed, anthropic=anthropic)
            else:
                model_id = scope["path"][len(MODELS) + 1 :]
                body = render_one(model_id, table, allowed, anthropic=anthropic)
                if body is None:
                    raise UnknownModel(
                        f"there is no model {model_id[:200]!r}",
                        field="model",
                        hint=f"all of them: GET {MODELS}",
                    )
            await reply.whole(200, b"application/json", body)
        except FlockError as error:
            await reply.error(error)
        except Exception as error:  # noqa: BLE001 - the edge of the data plane
            await reply.error(_unexpected(call, error))

    def _call(self, surface: Surface) -> Call:
        return Call(self._next_id(), surface, self._clock.wall(), self._clock.monotonic())

    def _user(self, scope: Scope) -> Key | None:
        key = self._authenticate(scope)
        if key is not None and key.scope == "node":
            raise Forbidden("a node's key does no inference", hint="flockpy token create NAME")
        return key


def _unexpected(call: Call, error: Exception) -> FlockError:
    """What a client is told of our own mistake; the log has it all."""
    log.error("the request %s failed", call.request_id, exc_info=error)
    return FlockError("the leader failed on this request; its log says why")


async def _nothing(send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def _client_left(call: Call, future: Any) -> None:
    if not future.cancelled():
        call.cancel("client")


def _traceparent(headers: Headers) -> bytes:
    """The request's ``traceparent`` when it is well-formed, else b""."""
    value = headers.get(b"traceparent", b"")
    return value if value and _TRACEPARENT.fullmatch(value) else b""
