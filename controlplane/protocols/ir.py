"""The neutral form between clients' protocols and engines' dialects. Pure.

Every surface parses its requests into a `Request` and encodes `Delta`s; every dialect renders a `Request` and decodes
into `Delta`s. So N surfaces and M dialects need N + M files. A `Decoder` is fed what an engine sends, cut anywhere; an
`Encoder` answers the bytes its client gets. Neither does I/O, looks at a clock or throws dice: ids come from `Meta`.
"""

from collections.abc import Iterable
from typing import Any, Literal, Protocol

import msgspec

from controlplane.protocols.base import Usage
from flockpy.errors import FlockError


class TextPart(msgspec.Struct, frozen=True, tag="text"):
    text: str


class ImagePart(msgspec.Struct, frozen=True, tag="image"):
    """`url`: ``data:image/png;base64,…``, or an address that only an engine or a vendor may fetch."""

    url: str
    detail: str | None = None


class AudioPart(msgspec.Struct, frozen=True, tag="audio"):
    """`data` is base64, `format` such as wav."""

    data: str
    format: str


Part = TextPart | ImagePart | AudioPart


class ToolCall(msgspec.Struct, frozen=True):
    """`arguments`: JSON text as the model wrote it, perhaps no valid JSON."""

    id: str
    name: str
    arguments: str


class System(msgspec.Struct, frozen=True, tag="system"):
    """Instructions; also ``developer`` messages. May stand anywhere among the messages."""

    text: str


class User(msgspec.Struct, frozen=True, tag="user"):
    parts: tuple[Part, ...]


class Thought(msgspec.Struct, frozen=True):
    """Reasoning of an earlier turn. `signature` is its vendor's proof of origin (Anthropic's signature, OpenAI's
    encrypted content, Gemini's with ``gemini:`` before it), "" without one; `redacted`: `text` is empty and the
    signature is all there is."""

    text: str
    signature: str = ""
    redacted: bool = False


class Assistant(msgspec.Struct, frozen=True, tag="assistant"):
    text: str = ""
    thoughts: tuple[Thought, ...] = ()
    calls: tuple[ToolCall, ...] = ()


class ToolResult(msgspec.Struct, frozen=True, tag="tool"):
    """`call_id` is that of the `ToolCall`. May hold images."""

    call_id: str
    parts: tuple[Part, ...]
    is_error: bool = False


Message = System | User | Assistant | ToolResult


class Origin(msgspec.Struct, frozen=True):
    """How the client itself knows a tool that is no plain function there: by `name` within `namespace` ("" without
    one); `custom`: it takes plain text, which engines are offered as the one string argument ``input``."""

    name: str
    namespace: str = ""
    custom: bool = False


class Tool(msgspec.Struct, frozen=True):
    """A function the model may call. `parameters`: its JSON schema, an object. `origin` matters to the surface alone,
    which gives calls back as its client knows them; dialects offer the tool by `name`. `eager`: the client wants the
    arguments as the model writes them, valid JSON or not, where its protocol holds them back otherwise."""

    name: str
    description: str
    parameters: msgspec.Raw
    strict: bool | None = None
    origin: Origin | None = None
    eager: bool = False


class Named(msgspec.Struct, frozen=True):
    """The one tool that must be called."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | Named


class JsonFormat(msgspec.Struct, frozen=True):
    """The answer must be a JSON object; of this `schema` when there is one."""

    schema: msgspec.Raw | None = None
    name: str = "answer"
    strict: bool | None = None


class Thinking(msgspec.Struct, frozen=True):
    """How much reasoning is asked for; all None: as the model pleases. `summary`: the client shows summaries of it."""

    enabled: bool | None = None
    budget_tokens: int | None = None
    effort: str | None = None
    summary: bool = False


class Request(msgspec.Struct, frozen=True):
    """One turn of a conversation, whatever protocol it came in.

    `model` is what the client asked for. `dropped` names the client's fields that are not carried over, as paths such
    as ``tools[3].web_search``: they are disclosed in ``x-flock-dropped``. None means that the client did not say.
    `raw`: the text of the one user message is the whole prompt, to be continued without any template; such a request is
    for an engine's completions, never for its chat. `wants_usage`: its stream is to end with what was used, in a
    protocol whose streams say so only when asked.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    format: JsonFormat | None = None
    thinking: Thinking = Thinking()
    user: str | None = None
    dropped: tuple[str, ...] = ()
    raw: bool = False
    wants_usage: bool = False


class Text(msgspec.Struct, frozen=True, gc=False):
    text: str


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """`signature` comes with the last of a block, if at all."""

    text: str
    signature: str = ""


class ToolStart(msgspec.Struct, frozen=True, gc=False):
    """A call begins. `index` counts calls from 0 in the order they begin; `id` "" when the engine gave none."""

    index: int
    id: str
    name: str


class ToolArgs(msgspec.Struct, frozen=True, gc=False):
    """A further piece of the JSON text of call `index`; pieces of several calls may interleave."""

    index: int
    text: str


StopReason = Literal["stop", "length", "tool_calls", "content_filter", "stop_sequence"]


class Stop(msgspec.Struct, frozen=True, gc=False):
    """The model has ended. `sequence`: the stop sequence it met, when `reason` is that."""

    reason: StopReason
    sequence: str = ""


class Counted(msgspec.Struct, frozen=True, gc=False):
    """The engine's usage; may come more than once, the last one counts."""

    usage: Usage


class Progress(msgspec.Struct, frozen=True, gc=False):
    """The prompt is being read: `done` of `total` tokens, of which `cached` needed no work."""

    done: int
    total: int
    cached: int = 0


class Failure(msgspec.Struct, frozen=True):
    """The stream cannot go on; always the last delta."""

    error: FlockError


Delta = Text | Reasoning | ToolStart | ToolArgs | Stop | Counted | Progress | Failure


class Meta(msgspec.Struct, frozen=True):
    """What an answer says of itself. `id` is bare (each surface puts its own prefix before it), unique and made of
    ASCII letters, digits, ``_`` and ``-``; `model` is the name the client asked for; `created` in seconds since the
    epoch; `prompt_tokens` an estimate for protocols that must name one before the engine has counted."""

    id: str
    model: str
    created: int
    prompt_tokens: int = 0


class Answer(msgspec.Struct, frozen=True):
    """A whole answer, folded from its deltas. `stop` None: it broke off."""

    text: str
    reasoning: str
    calls: tuple[ToolCall, ...]
    stop: Stop | None
    usage: Usage | None
    signature: str = ""


class Decoder(Protocol):
    """Reads one answer of an engine or vendor."""

    def feed(self, data: bytes) -> list[Delta]:
        """The deltas that `data` completes; what is cut in two waits for its rest."""
        ...

    def end(self) -> list[Delta]:
        """Called once, at the clean end of the bytes: what was still held back. A stream without its end mark answers a
        `Failure` (EngineDied)."""
        ...


class Reader(Decoder, Protocol):
    """Reads one answer, streamed or not."""

    def whole(self, body: bytes) -> list[Delta]:
        """Instead: all deltas of an answer that is not streamed; a `Failure` when it is none."""
        ...


class Encoder(Protocol):
    """Writes one streamed answer to a client; accepts any legal order of deltas, and repairs what clients cannot live
    without (ids, indices, block boundaries, a stop reason, usage)."""

    def feed(self, deltas: Iterable[Delta]) -> bytes: ...

    def keep_alive(self, silent_s: float) -> bytes:
        """Something that really resets this client's idle timer, when it was silent for so many seconds."""
        ...

    def end(self) -> bytes:
        """The end of the stream: called once, after the last delta."""
        ...


class Translated(Protocol):
    """A surface whose requests are put into the neutral form and whose answers are made from it; `request` is the one
    that is answered.

    `stream_type`: the media type of its streams, such as ``application/x-ndjson``; whole answers are JSON.
    """

    stream_type: bytes

    def request(self, body: bytes) -> Request:
        """Read a request's body whole. Raises BadRequest that names the field."""
        ...

    def encoder(self, request: Request, meta: Meta) -> Encoder: ...

    def render(self, request: Request, answer: Answer, meta: Meta) -> bytes:
        """The body of a whole answer."""
        ...

    def status(self, error: FlockError) -> int:
        """The HTTP status this protocol has for an error, where the error's own is not it."""
        ...

    def error(self, error: FlockError) -> bytes:
        """The JSON body of an error answer."""
        ...

    def stream_error(self, error: FlockError) -> bytes:
        """The event that ends a stream which somebody else began in this protocol."""
        ...


def fold(deltas: Iterable[Delta]) -> Answer:
    """The answer that a whole stream amounts to. Raises the error of a `Failure`."""
    texts: list[str] = []
    reasoning: list[str] = []
    starts: dict[int, ToolStart] = {}
    arguments: dict[int, list[str]] = {}
    known: dict[str, Any] = {"stop": None, "usage": None, "signature": ""}
    for delta in deltas:
        match delta:
            case Text():
                texts.append(delta.text)
            case Reasoning():
                reasoning.append(delta.text)
                known["signature"] = delta.signature or known["signature"]
            case ToolStart():
                starts[delta.index] = delta
            case ToolArgs():
                arguments.setdefault(delta.index, []).append(delta.text)
            case Stop():
                known["stop"] = delta
            case Counted():
                known["usage"] = delta.usage
            case Failure():
                raise delta.error
            case Progress():
                pass
    calls = tuple(
        ToolCall(start.id, start.name, "".join(arguments.get(index, ())))
        for index, start in sorted(starts.items())
    )
    return Answer("".join(texts), "".join(reasoning), calls, **known)
