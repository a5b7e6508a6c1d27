"""The data plane: inference requests and the list of models, from their connection to the pipeline and back."""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from controlplane.gateway.asked import Asked
from controlplane.gateway.call import Call
from controlplane.gateway.door import too_large
from controlplane.gateway.pipeline import Pipeline
from controlplane.gateway.questions import Questions, methods, voice
from controlplane.gateway.reply import Reply
from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.base import Surface
from controlplane.protocols.ollama import OllamaChatSurface, OllamaGenerateSurface
from controlplane.protocols.ollama_embed import OllamaEmbedSurface
from controlplane.protocols.openai_chat import ChatSurface, CompletionSurface, EmbeddingSurface
from controlplane.protocols.rerank import RerankSurface
from controlplane.protocols.responses import ResponsesSurface
from controlplane.protocols.transcription import TranscriptionSurface
from controlplane.protocols.translated import TranslatedSurface
from controlplane.tenants.model import Key
from flockpy.clock import Clock
from flockpy.config import Limits
from flockpy.errors import FlockError, Forbidden, MethodNotAllowed, Overloaded
from flockpy.ids import Entropy, RequestIds
from flockpy.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

Authenticate = Callable[[Sequence[tuple[bytes, bytes]], str], Key | None]
"""The key of a request's headers and client address; None where keys are not required. Raises Unauthenticated."""

CHAT: Final = ChatSurface()
_RERANK: Final = RerankSurface()
SURFACES: Final[Mapping[bytes, Surface]] = {
    b"/v1/chat/completions": CHAT,
    b"/v1/completions": CompletionSurface(),
    b"/v1/embeddings": EmbeddingSurface(),
    b"/v1/messages": TranslatedSurface("messages", MessagesSurface()),
    b"/v1/responses": TranslatedSurface("responses", ResponsesSurface()),
    b"/api/chat": TranslatedSurface("ollama", OllamaChatSurface()),
    b"/api/generate": TranslatedSurface("ollama", OllamaGenerateSurface()),
    b"/api/embed": OllamaEmbedSurface(once=False),
    b"/api/embeddings": OllamaEmbedSurface(once=True),
    b"/v1/rerank": _RERANK,
    b"/rerank": _RERANK,
    b"/v2/rerank": _RERANK,
    b"/v1/audio/transcriptions": TranscriptionSurface(),
}
_POST: Final = (b"POST",)
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class DataPlane:
    """`draining` makes new requests bounce while old ones finish."""

    def __init__(
        self,
        *,
        pipeline: Pipeline,
        questions: Questions,
        authenticate: Authenticate,
        limits: Limits,
        metrics: Metrics,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._pipeline = pipeline
        self._questions = questions
        self._authenticate = authenticate
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._next_id = RequestIds(entropy)
        self._loop = asyncio.get_running_loop()
        self._serving: set[Asked] = set()
        self.draining = False

    def serves(self, path: bytes) -> bool:
        return path in SURFACES or bool(methods(path))

    def accept(self, asked: Asked) -> None:
        surface = SURFACES.get(asked.path)
        voiced = surface or voice(asked.path)
        asked.call = Call(self._next_id(), voiced, self._clock.wall(), self._clock.monotonic())
        allowed = methods(asked.path) if surface is None else _POST
        if asked.method not in allowed:
            raise MethodNotAllowed(asked.method.decode(), allow=b", ".join(allowed).decode())
        if self.draining and surface is not None:
            raise Overloaded("the leader is shutting down", retry_after=5)
        client = asked.connection.client
        key = self._authenticate(asked.headers, client[0] if client else "")
        if key is not None and key.scope == "node":
            raise Forbidden("a node's key does no inference", hint="flockpy token create NAME")
        asked.call.key = key
        length = asked.named.get(b"content-length", b"")
        if length.isdigit() and int(length.lstrip(b"0") or b"0") > self._limits.body_bytes:
            raise too_large(self._limits)

    def refuse(self, asked: Asked, error: FlockError) -> None:
        self._refuse(asked, Reply(asked), error)

    def start(self, asked: Asked) -> None:
        self._serving.add(asked)  # the event loop itself holds no task
        asked.task = self._loop.create_task(self._serve(asked))

    async def _serve(self, asked: Asked) -> None:
        reply = Reply(asked)
        try:
            parts = asked.parts
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            asked.parts = []
            if asked.path in SURFACES:
                trace = asked.named.get(b"traceparent", b"")
                if trace and not _TRACEPARENT.fullmatch(trace):
                    trace = b""
                await self._pipeline.run(asked.call, body, asked.headers, trace, reply)
            else:
                await self._questions.answer(asked, body, reply)
        except FlockError as error:
            self._refuse(asked, reply, error)
        except Exception as error:
            log.error("the request %s failed", asked.call.request_id, exc_info=error)
            reply.error(FlockError("the leader failed on this request; its log says why"))
        finally:
            self._serving.discard(asked)
            asked.task = None

    def _refuse(self, asked: Asked, reply: Reply, error: FlockError) -> None:
        self._metrics.refusals.labels(asked.call.surface.name, error.code).inc()
        reply.error(error)
