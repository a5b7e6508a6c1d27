"""Reranking in the shape that Jina and Cohere share: POST /v1/rerank, /rerank, /v2/rerank. Never streamed. Pure.

An engine is sent bare texts, and scores all of them; sorting, `top_n` and the documents in the answer are done here,
because engines differ in them. Scores pass as the engine gives them: of one model they can be compared from request to
request, and whether they are probabilities or logits is the model's affair.
"""

from typing import Annotated, Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Inbound, Plain, Usage, decode, read_fields
from controlplane.protocols.openai_error import error_body, told
from controlplane.routing.resolve import Wanted
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, EngineDied, FlockError
from flockpy.placement import Capability


class _Textual(msgspec.Struct):
    text: str


class _Asked(msgspec.Struct):
    query: str | _Textual
    documents: Annotated[tuple[str | _Textual, ...], msgspec.Meta(min_length=1)]
    model: str = ""
    top_n: Annotated[int, msgspec.Meta(ge=1)] | None = None
    return_documents: bool | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    total_tokens: int | None = None


class _Result(msgspec.Struct):
    index: Annotated[int, msgspec.Meta(ge=0)]
    relevance_score: float


class _Answer(msgspec.Struct):
    results: list[_Result]
    usage: _Usage | None = None


class _Counted(msgspec.Struct):
    usage: _Usage | None = None


_ASKED: Final = msgspec.json.Decoder(_Asked)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_ANSWER: Final = msgspec.json.Decoder(_Answer)
_COUNTED: Final = msgspec.json.Decoder(_Counted)


class RerankSurface(Plain):
    name: SurfaceName = "rerank"
    capability: Capability = "rerank"
    engine_path = "/v1/rerank"
    reshapes = True

    def parse(self, body: bytes) -> Inbound:
        fields = read_fields(body)
        return Inbound(fields, decode(_ASKED, body).model, max_tokens=0)

    def engine_body(self, inbound: Inbound, body: bytes, model: str) -> bytes:
        asked = _asked(inbound)
        documents = [_text(document) for document in asked.documents]
        return msgspec.json.encode({"model": model, "query": _text(asked.query), "documents": documents})

    def render(self, inbound: Inbound, answer: bytes, *, model: str, request_id: str) -> bytes:
        """The answer, best first: `results` of ``index``, ``relevance_score`` and, unless `return_documents` is false,
        ``document``."""
        asked = _asked(inbound)
        try:
            scored = _ANSWER.decode(answer)
        except UNREADABLE:
            raise EngineDied("the engine's answer is no ranking", retry_after=1) from None
        best = sorted(scored.results, key=lambda result: (-result.relevance_score, result.index))
        originals = decode(_RAWS, inbound.fields["documents"])
        if any(result.index >= len(originals) for result in best):
            raise EngineDied("the engine ranked a document that it was not given", retry_after=1)
        counts = _counts(scored.usage)
        results: list[dict[str, Any]] = []
        for result in best[: asked.top_n]:
            item: dict[str, Any] = {"index": result.index, "relevance_score": result.relevance_score}
            if asked.return_documents is not False:
                document = asked.documents[result.index]
                item["document"] = (
                    {"text": document} if isinstance(document, str) else originals[result.index]
                )
            results.append(item)
        return msgspec.json.encode(
            {
                "id": request_id,
                "object": "list",
                "model": model,
                "results": results,
                "usage": {"prompt_tokens": counts.prompt_tokens, "total_tokens": counts.prompt_tokens},
                "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
            }
        )

    def wanted(self, inbound: Inbound) -> Wanted:
        return Wanted("rerank")

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        if "rerank" not in capabilities:
            return BadRequest("model: this model does not rerank", field="model")
        return None

    def usage(self, body: bytes) -> Usage | None:
        """Engines of this protocol count a prompt only; some name nothing but the total."""
        try:
            usage = _COUNTED.decode(body).usage
        except UNREADABLE:
            return None
        return None if usage is None else _counts(usage)

    def error(self, error: FlockError) -> bytes:
        """OpenAI's error object, and the message where Cohere's clients (`message`) and Jina's (`detail`) look."""
        body = msgspec.json.decode(error_body(error))
        return msgspec.json.encode({**body, "message": told(error), "detail": told(error)})

    def stream_error(self, error: FlockError) -> bytes:
        return self.error(error)

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        return b""


def _asked(inbound: Inbound) -> _Asked:
    return decode(_ASKED, msgspec.json.encode(inbound.fields))


def _text(value: str | _Textual) -> str:
    return value if isinstance(value, str) else value.text


def _counts(usage: _Usage | None) -> Usage:
    return Usage(max((usage.prompt_tokens or usage.total_tokens or 0) if usage else 0, 0), 0)
