"""The OpenAI surfaces: chat completions, legacy completions, embeddings. Pure.

Bodies are open: what is not named here passes on to the engine untouched. What is named is checked, because an engine
answers a wrong type with a 500 of its own, or meters something else than we do.
"""

from typing import Annotated, Final, Literal, TypeVar

import msgspec

from controlplane.protocols.base import UNREADABLE, Fields, Inbound, Plain, Usage, decode, read_fields
from controlplane.protocols.chat_outline import Line, Outline
from controlplane.protocols.openai_error import error_body
from controlplane.routing.resolve import Wanted
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, FlockError
from flockpy.placement import Capability

Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
"""No more than engines can hold: llama.cpp takes larger numbers modulo 2**32."""
_Object = dict[str, msgspec.Raw]
_Texts = str | list[str | int | list[int]]
"""One text, several, one as token numbers, or several of these."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _Object | str | None = None


class _Call(msgspec.Struct):
    function: _Object | None = None
    id: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    reasoning_content: str | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: _Object | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


class _Format(msgspec.Struct):
    type: str
    json_schema: _Object | None = None


class _Sampling(msgspec.Struct):
    """What chat and legacy completions share. `n_predict` is llama.cpp's own name and would win over `max_tokens`."""

    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n_predict: Positive | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    n_cmpl: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | list[str] | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    best_of: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    user: str | None = None

    def inbound(self, fields: Fields, texts: int = 1, lines: Outline = ()) -> Inbound:
        return Inbound(
            fields,
            self.model,
            bool(self.stream),
            max(self.max_tokens or 0, self.max_completion_tokens or 0, self.n_predict or 0) or None,
            max(self.n or 1, self.n_cmpl or 1, self.best_of or 1) * texts,
            self.stream_options is not None and bool(self.stream_options.include_usage),
            texts,
            lines,
        )


_S = TypeVar("_S", bound=_Sampling)


class _ChatSampling(_Sampling):
    tool_choice: Literal["none", "auto", "required"] | _Object | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    logit_bias: _Object | list[msgspec.Raw] | None = None
    reasoning_format: str = "auto"


class _ChatOutline(_ChatSampling):
    messages: tuple[Line, ...] = ()


class _Chat(_ChatSampling):
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)] = msgspec.field(
        default_factory=list[_Message]
    )
    tools: list[_Tool] | None = None


class _CompletionSampling(_Sampling):
    echo: bool | None = None
    suffix: str | None = None
    logprobs: int | bool | None = None
    logit_bias: _Object | list[msgspec.Raw] | None = None


class _Completion(_CompletionSampling):
    prompt: _Texts | None = None


class _Embedding(msgspec.Struct):
    model: str = ""
    encoding_format: str | None = None
    dimensions: Positive | None = None
    user: str | None = None


_Count = Annotated[int, msgspec.Meta(le=2**31 - 1)]


class _PromptDetails(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None


class UsageObject(msgspec.Struct):
    """`usage` as engines and vendors of this protocol write it."""

    prompt_tokens: _Count | None = 0
    completion_tokens: _Count | None = 0
    prompt_tokens_details: _PromptDetails | None = None

    def counts(self) -> Usage:
        prompt, completion = max(self.prompt_tokens or 0, 0), max(self.completion_tokens or 0, 0)
        if (details := self.prompt_tokens_details) is None:
            return Usage(prompt, completion)
        return Usage(
            prompt,
            completion,
            max(details.cached_tokens or 0, 0),
            cache_written_tokens=max(details.cache_write_tokens or 0, 0),
        )


class _Answer(msgspec.Struct):
    usage: UsageObject | None = None


_CHAT_OUTLINE: Final = msgspec.json.Decoder(_ChatOutline)
_COMPLETION_SAMPLING: Final = msgspec.json.Decoder(_CompletionSampling)
_CHAT: Final = msgspec.json.Decoder(_Chat)
_COMPLETION: Final = msgspec.json.Decoder(_Completion)
_TEXTS: Final = msgspec.json.Decoder[_Texts | None](_Texts | None)
_EMBEDDING: Final = msgspec.json.Decoder(_Embedding)
_ANSWER: Final = msgspec.json.Decoder(_Answer)

_EMPTY_CHOICE: Final[dict[str, object]] = {"index": 0, "delta": {}, "finish_reason": None}


class _OpenAi(Plain):
    """What the three surfaces share: errors, usage, keep-alive."""

    def error(self, error: FlockError) -> bytes:
        return error_body(error)

    def stream_error(self, error: FlockError) -> bytes:
        # What came before may have broken off within a line; blank lines between events mean nothing.
        return b"\n\ndata: " + self.error(error) + b"\n\n"

    def usage(self, body: bytes) -> Usage | None:
        try:
            usage = _ANSWER.decode(body).usage
        except UNREADABLE:
            return None
        return None if usage is None else usage.counts()


class ChatSurface(_OpenAi):
    """POST /v1/chat/completions."""

    name: SurfaceName = "chat"
    capability: Capability = "chat"
    engine_path = "/v1/chat/completions"

    def parse(self, body: bytes) -> Inbound:
        fields = read_fields(body)
        chat = _known(_CHAT_OUTLINE, body, fields)
        if not chat.messages:
            raise BadRequest("messages: a non-empty list of messages is required", field="messages")
        return chat.inbound(fields, lines=chat.messages)

    def wanted(self, inbound: Inbound) -> Wanted:
        messages = bytes(memoryview(inbound.fields["messages"]))
        return Wanted("chat", len(messages) // 4, b'"image_url"' in messages)

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        try:
            messages = decode(_CHAT, body).messages
        except BadRequest as error:
            return error
        parts = [
            part for message in messages if isinstance(message.content, list) for part in message.content
        ]
        if "vision" not in capabilities and any(part.type == "image_url" for part in parts):
            return BadRequest("messages: this model cannot see images", field="messages")
        return None

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        chunk = {
            "id": f"chatcmpl-{request_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
            "choices": [_EMPTY_CHOICE],
        }
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


class CompletionSurface(_OpenAi):
    """POST /v1/completions."""

    name: SurfaceName = "completions"
    capability: Capability = "completion"
    engine_path = "/v1/completions"

    def parse(self, body: bytes) -> Inbound:
        fields = read_fields(body)
        sampling = _known(_COMPLETION_SAMPLING, body, fields)
        return sampling.inbound(fields, _count_texts(fields, "prompt"))

    def wanted(self, inbound: Inbound) -> Wanted:
        return Wanted("completion", len(memoryview(inbound.fields["prompt"])) // 4)

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        try:
            decode(_COMPLETION, body)
        except BadRequest as error:
            return error
        return None

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        chunk = {
            "id": f"cmpl-{request_id}",
            "object": "text_completion",
            "created": created,
            "model": model,
            "choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": None}],
        }
        return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


class EmbeddingSurface(_OpenAi):
    """POST /v1/embeddings. Never streamed."""

    name: SurfaceName = "embeddings"
    capability: Capability = "embedding"
    engine_path = "/v1/embeddings"

    def parse(self, body: bytes) -> Inbound:
        fields = read_fields(body)
        embedding = decode(_EMBEDDING, body)
        _count_texts(fields, "input")
        if embedding.encoding_format not in (None, "float", "base64"):
            raise BadRequest('encoding_format: must be "float" or "base64"', field="encoding_format")
        return Inbound(fields, embedding.model, max_tokens=0)

    def wanted(self, inbound: Inbound) -> Wanted:
        return Wanted("embedding")

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        if "embedding" not in capabilities:
            return BadRequest("model: this model makes no embeddings", field="model")
        return None

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        return b""


def _known(decoder: msgspec.json.Decoder[_S], body: bytes, fields: Fields) -> _S:
    """What we know of a body that is JSON, whose `fields` these are. Raises BadRequest."""
    try:
        return decode(decoder, body)
    except BadRequest as error:
        if error.field != "body":
            raise
        for name, raw in fields.items():  # half a character in one of the texts: find which
            try:
                decoder.decode(msgspec.json.encode({name: raw}))
            except UNREADABLE:
                raise BadRequest(f"{name}: the text is not valid Unicode", field=name) from None
        raise


def _count_texts(fields: Fields, name: str) -> int:
    """How many texts `name` holds. Raises BadRequest when there is none, or text and numbers are mixed."""
    texts: _Texts | None = decode(_TEXTS, fields[name], name) if name in fields else None
    if isinstance(texts, str):
        return 1
    if not texts:
        raise BadRequest(
            f"{name}: a text, or a non-empty list of texts or of token lists, is required", field=name
        )
    if len({type(text) for text in texts}) > 1 or [] in texts:
        raise BadRequest(f"{name}: texts, token numbers and empty lists may not be mixed", field=name)
    return 1 if isinstance(texts[0], int) else len(texts)
