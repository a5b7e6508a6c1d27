"""What clients send to Ollama's /api/chat and /api/generate, read into the neutral form. Pure.

Ollama streams unless told otherwise. What it sets up when it loads a model (``keep_alive``, ``options.num_ctx`` and the
like) is the cluster's own business here: such fields are dropped and named.
"""

from collections.abc import Container, Iterable
from typing import Any, Final, Literal

import msgspec

from controlplane.protocols.base import Fields, decode, read_fields
from controlplane.protocols.ir import (
    Assistant,
    ImagePart,
    JsonFormat,
    Message,
    Part,
    Request,
    System,
    TextPart,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    User,
)
from flockpy.errors import BadRequest

_Number = int | float
"""Ollama takes 128.0 where it wants 128."""


class _Options(msgspec.Struct):
    num_predict: _Number | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: _Number | None = None
    seed: _Number | None = None
    stop: str | tuple[str, ...] | None = None


class _Body(msgspec.Struct):
    """What both routes share."""

    model: str = ""
    stream: bool | None = None
    format: str | dict[str, msgspec.Raw] | None = None
    think: bool | str | None = None
    options: Fields | None = None


class _CalledFunction(msgspec.Struct):
    name: str = ""
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


class _Call(msgspec.Struct):
    function: _CalledFunction
    id: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | None = None
    thinking: str | None = None
    images: tuple[str, ...] | None = None
    tool_calls: tuple[_Call, ...] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct):
    name: str = ""
    description: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None


class _Tool(msgspec.Struct):
    function: _Function | None = None


class _Chat(_Body):
    messages: tuple[_Message, ...] | None = None
    tools: tuple[_Tool, ...] | None = None


class _Generate(_Body):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    images: tuple[str, ...] | None = None
    raw: bool | None = None


class _Idle(msgspec.Struct):
    keep_alive: str | float | None = None


_CHAT: Final = msgspec.json.Decoder(_Chat)
_GENERATE: Final = msgspec.json.Decoder(_Generate)
_OPTIONS: Final = msgspec.json.Decoder(_Options)
_IDLE: Final = msgspec.json.Decoder(_Idle)
_STRING: Final = msgspec.json.Decoder(str)
_OPTION_NAMES: Final = frozenset(_Options.__struct_fields__)
_NOTHING: Final = frozenset({b"null", b"false", b"[]", b"{}", b'""'})
_ANY_OBJECT: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_TEMPLATED: Final = ("system", "images", "format", "think")
"""What a bare prompt has no place for."""
_MOST: Final = 2**31 - 1
"""Tokens of an answer; engines take larger numbers modulo 2**32."""
_MAGIC: Final = {"/9j/": "jpeg", "R0lGOD": "gif", "UklGR": "webp"}
"""How the base64 text of an image begins that is no PNG."""


def read_chat(body: bytes) -> Request:
    """The request of /api/chat; without messages when it only wants its model loaded. Raises BadRequest."""
    fields, chat = read_fields(body), decode(_CHAT, body)
    messages = tuple(_messages(chat.messages or ()))
    tools, dropped = _tools(chat.tools or ())
    return _request(chat, fields, messages, dropped, tools=tools)


def read_generate(body: bytes) -> Request:
    """The request of /api/generate; without messages when it only wants its model loaded. Raises BadRequest."""
    fields, asked = read_fields(body), decode(_GENERATE, body)
    if asked.suffix:
        raise BadRequest("suffix: this model does not support insert", field="suffix")
    dropped: list[str] = []
    if asked.raw:
        dropped += (name for name in _TEMPLATED if name in fields and bytes(fields[name]) not in _NOTHING)
        asked.system = asked.images = asked.format = asked.think = None
    parts = _parts(asked.prompt, asked.images)
    messages: list[Message] = []
    if parts and asked.system:
        messages.append(System(asked.system))
    if parts:
        messages.append(User(parts))
    return _request(asked, fields, tuple(messages), tuple(dropped), raw=bool(asked.raw))


def idle_reason(body: bytes) -> Literal["load", "unload"]:
    """What a request without a prompt asks of its model: ``keep_alive`` 0 gives it up. Raises BadRequest."""
    keep_alive = decode(_IDLE, body).keep_alive
    zero = keep_alive.rstrip("smh") == "0" if isinstance(keep_alive, str) else keep_alive == 0
    return "unload" if zero else "load"


def _request(
    body: _Body, fields: Fields, messages: tuple[Message, ...], dropped: tuple[str, ...], **more: Any
) -> Request:
    options = decode(_OPTIONS, msgspec.json.encode(body.options), "options") if body.options else _Options()
    limit, seed = options.num_predict, options.seed
    known = body.__struct_fields__
    return Request(
        model=body.model,
        messages=messages,
        stream=body.stream is not False,
        max_tokens=min(int(limit), _MOST) if limit is not None and limit >= 1 else None,
        temperature=options.temperature,
        top_p=options.top_p,
        top_k=int(options.top_k) if options.top_k is not None else None,
        seed=int(seed) if seed is not None and seed >= 0 else None,
        stop=(options.stop,) if isinstance(options.stop, str) else options.stop or (),
        format=_format(body.format),
        thinking=_thinking(body.think),
        dropped=(
            *_unknown(fields, known),
            *_unknown(body.options or {}, _OPTION_NAMES, "options."),
            *dropped,
        ),
        **more,
    )


def _unknown(said: Fields, known: Container[str], within: str = "") -> Iterable[str]:
    """The names that are not carried over, but for those that say nothing."""
    return (within + name for name, raw in said.items() if name not in known and bytes(raw) not in _NOTHING)


def _format(asked: str | dict[str, msgspec.Raw] | None) -> JsonFormat | None:
    if isinstance(asked, dict):
        return JsonFormat(msgspec.Raw(msgspec.json.encode(asked)))
    if asked == "json":
        return JsonFormat()
    if asked:
        raise BadRequest('format: must be "json" or a JSON schema', field="format")
    return None


def _thinking(think: bool | str | None) -> Thinking:
    if isinstance(think, str) and think:
        return Thinking(enabled=True, effort=think)
    return Thinking(enabled=think) if isinstance(think, bool) else Thinking()


def _tools(offered: Iterable[_Tool]) -> tuple[tuple[Tool, ...], tuple[str, ...]]:
    tools: list[Tool] = []
    dropped: list[str] = []
    for place, tool in enumerate(offered):
        function = tool.function
        if function is None or not function.name:
            dropped.append(f"tools[{place}]")
            continue
        schema = function.parameters
        parameters = _ANY_OBJECT if schema is None else msgspec.Raw(msgspec.json.encode(schema))
        tools.append(Tool(function.name, function.description or "", parameters))
    return tuple(tools), tuple(dropped)


def _messages(said: Iterable[_Message]) -> Iterable[Message]:
    made = 0
    waiting: list[ToolCall] = []
    for place, message in enumerate(said):
        text = message.content or ""
        match message.role:
            case "system" | "developer":
                yield System(text)
            case "user":
                yield User(_parts(text, message.images) or (TextPart(""),))
            case "assistant":
                calls = tuple(
                    ToolCall(call.id or f"call_{made + n}", call.function.name, _arguments(call.function))
                    for n, call in enumerate(message.tool_calls or ())
                )
                made += len(calls)
                waiting += calls
                thoughts = (Thought(message.thinking),) if message.thinking else ()
                yield Assistant(text, thoughts, calls)
            case "tool" | "function":
                call_id = _answered(waiting, message) or f"call_{made}"
                yield ToolResult(call_id, _parts(text, message.images) or (TextPart(""),))
            case _:
                field = f"messages[{place}].role"
                raise BadRequest(f"{field}: must be system, user, assistant or tool", field=field)


def _answered(waiting: list[ToolCall], message: _Message) -> str:
    """The id of the call a result belongs to, taken off those that wait: by its id, by its tool's name, else the first
    of them; "" when none waits."""
    if message.tool_call_id:
        waiting[:] = (call for call in waiting if call.id != message.tool_call_id)
        return message.tool_call_id
    named = [call for call in waiting if call.name == message.tool_name]
    for call in named or waiting:
        waiting.remove(call)
        return call.id
    return ""


def _arguments(function: _CalledFunction) -> str:
    """Ollama's arguments are an object; clients that come from OpenAI's API send its JSON text."""
    raw = bytes(function.arguments)
    if raw.startswith(b'"'):
        return decode(_STRING, raw, "messages.tool_calls.function.arguments")
    return raw.decode(errors="replace")


def _parts(text: str | None, images: tuple[str, ...] | None) -> tuple[Part, ...]:
    words: tuple[Part, ...] = (TextPart(text),) if text else ()
    return (*words, *(ImagePart(_data_url(image)) for image in images or ()))


def _data_url(image: str) -> str:
    """Ollama's images are bare base64, of any kind; an address stays data and is fetched by nobody."""
    if image.startswith("data:"):
        return image
    kind = next((kind for magic, kind in _MAGIC.items() if image.startswith(magic)), "png")
    return f"data:image/{kind};base64,{image}"
