"""Ollama's POST /api/embed and its older /api/embeddings, over an engine that speaks OpenAI's embeddings. Pure."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Inbound, Plain, Usage, decode, read_fields, rewrite
from controlplane.protocols.openai_chat import EmbeddingSurface
from controlplane.protocols.openai_error import told
from controlplane.routing.resolve import Wanted
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, EngineDied, FlockError
from flockpy.placement import Capability


class _Asked(msgspec.Struct):
    input: str | Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    model: str = ""
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None


class _AskedOnce(msgspec.Struct):
    prompt: str
    model: str = ""


class _Embedding(msgspec.Struct):
    embedding: msgspec.Raw
    index: int = 0


class _Answer(msgspec.Struct):
    data: Sequence[_Embedding]


_ASKED: Final = msgspec.json.Decoder(_Asked)
_ASKED_ONCE: Final = msgspec.json.Decoder(_AskedOnce)
_ANSWER: Final = msgspec.json.Decoder(_Answer)


class OllamaEmbedSurface(Plain):
    """`once`: the older route, one text a request."""

    name: SurfaceName = "embeddings"
    capability: Capability = "embedding"
    engine_path = EmbeddingSurface.engine_path
    reshapes = True

    def __init__(self, *, once: bool) -> None:
        self._once = once
        self._openai = EmbeddingSurface()

    def parse(self, body: bytes) -> Inbound:
        """`fields` are those of the body that an engine is sent."""
        read_fields(body)
        fields: dict[str, Any]
        if self._once:
            single = decode(_ASKED_ONCE, body)
            model, fields = single.model, {"input": [single.prompt]}
        else:
            asked = decode(_ASKED, body)
            texts = [asked.input] if isinstance(asked.input, str) else asked.input
            model, fields = asked.model, {"input": texts}
            if asked.dimensions is not None:
                fields["dimensions"] = asked.dimensions
        fields |= {"model": model, "encoding_format": "float"}
        raws = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
        return Inbound(raws, model, max_tokens=0)

    def engine_body(self, inbound: Inbound, body: bytes, model: str) -> bytes:
        return rewrite(inbound.fields, {"model": model})

    def render(self, inbound: Inbound, answer: bytes, *, model: str, request_id: str) -> bytes:
        try:
            rows = sorted(_ANSWER.decode(answer).data, key=lambda row: row.index)
        except UNREADABLE:
            raise EngineDied("the engine's answer holds no embeddings", retry_after=1) from None
        if not rows or not all(bytes(row.embedding).startswith(b"[") for row in rows):
            raise EngineDied("the engine's answer holds no lists of numbers", retry_after=1)
        if self._once:
            return msgspec.json.encode({"embedding": rows[0].embedding})
        usage = self.usage(answer)
        return msgspec.json.encode(
            {
                "model": model,
                "embeddings": [row.embedding for row in rows],
                "total_duration": 0,
                "load_duration": 0,
                "prompt_eval_count": usage.prompt_tokens if usage else 0,
            }
        )

    def wanted(self, inbound: Inbound) -> Wanted:
        return self._openai.wanted(inbound)

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        return self._openai.explain(body, capabilities)

    def usage(self, body: bytes) -> Usage | None:
        return self._openai.usage(body)

    def error(self, error: FlockError) -> bytes:
        return msgspec.json.encode({"error": told(error)})

    def stream_error(self, error: FlockError) -> bytes:
        return self.error(error)

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        return b""
