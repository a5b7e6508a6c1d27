"""The bodies that clients of chat/completions send, as neutral requests. Pure.

Bodies are open: what is not carried over is named in `Request.dropped`, never refused. Refused is what lacks a thing
that nothing can stand in for, such as the address of an image.
"""

from typing import Any, Final, Literal

import msgspec

from controlplane.protocols.base import decode, read_fields
from controlplane.protocols.chat_messages import ChatMessage, Conversation
from controlplane.protocols.ir import JsonFormat, Named, Request, Thinking, Tool, ToolChoice
from controlplane.protocols.openai_chat import Positive
from flockpy.errors import BadRequest


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


class _Named(msgspec.Struct):
    name: str


class _Allowed(msgspec.Struct):
    mode: Literal["auto", "required"] = "auto"


class _Choice(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None
    allowed_tools: _Allowed | None = None


class _Schema(msgspec.Struct):
    name: str = "answer"
    schema: dict[str, msgspec.Raw] | None = None
    strict: bool | None = None


class _Format(msgspec.Struct):
    """`schema` beside ``json_object`` is llama.cpp's own way."""

    type: str
    json_schema: _Schema | None = None
    schema: dict[str, msgspec.Raw] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _TemplateArguments(msgspec.Struct):
    enable_thinking: bool | None = None


class _Body(msgspec.Struct):
    messages: list[ChatMessage] = msgspec.field(default_factory=list[ChatMessage])
    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _Choice | None = None
    functions: list[_Function] | None = None
    function_call: str | _Named | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    response_format: _Format | None = None
    reasoning_effort: str | None = None
    chat_template_kwargs: _TemplateArguments | None = None
    user: str | None = None


_BODY: Final = msgspec.json.Decoder(_Body)
_KNOWN: Final = frozenset(_Body.__struct_fields__)
_SAYS_NOTHING: Final = frozenset({b"null", b"false", b"[]", b"{}", b'""'})
_NO_PARAMETERS: Final = msgspec.Raw(b'{"type":"object","properties":{}}')
_CHOICES: Final[dict[str, ToolChoice]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}


def request(body: bytes) -> Request:
    """Read a body of chat/completions whole. Raises BadRequest that names the field."""
    fields = read_fields(body)
    dropped = [name for name, raw in fields.items() if name not in _KNOWN and bytes(raw) not in _SAYS_NOTHING]
    if "n" in dropped and bytes(fields["n"]) == b"1":
        dropped.remove("n")
    read = decode(_BODY, body)
    if not read.messages:
        raise BadRequest("messages: a non-empty list of messages is required", field="messages")
    conversation = Conversation(dropped)
    for message in read.messages:
        conversation.add(message)
    tools = _tools(read, dropped)
    options = read.stream_options or _StreamOptions()
    return Request(
        model=read.model or "",
        messages=tuple(conversation.messages),
        stream=bool(read.stream),
        tools=tools,
        tool_choice=_choice(read, dropped, {tool.name for tool in tools}),
        parallel_tool_calls=read.parallel_tool_calls,
        max_tokens=read.max_completion_tokens or read.max_tokens,
        temperature=read.temperature,
        top_p=read.top_p,
        top_k=read.top_k,
        seed=read.seed,
        stop=tuple(filter(None, [read.stop] if isinstance(read.stop, str) else read.stop or [])),
        format=_format(read.response_format, dropped),
        thinking=_thinking(read),
        user=read.user,
        dropped=tuple(dropped),
        wants_usage=bool(options.include_usage),
    )


def _tools(read: _Body, dropped: list[str]) -> tuple[Tool, ...]:
    """Functions; tools that a vendor runs itself are dropped."""
    functions = list(read.functions or ())
    for index, tool in enumerate(read.tools or ()):
        if tool.type != "function":
            dropped.append(f"tools[{index}].{tool.type}")
        elif tool.function is None:
            field = f"tools[{index}].function"
            raise BadRequest(f"{field}: a function tool needs its function", field=field)
        else:
            functions.append(tool.function)
    return tuple(
        Tool(function.name, function.description or "", _raw(function.parameters), function.strict)
        for function in functions
    )


def _raw(parameters: dict[str, msgspec.Raw] | None) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(parameters)) if parameters else _NO_PARAMETERS


def _choice(read: _Body, dropped: list[str], offered: set[str]) -> ToolChoice | None:
    said: Any = read.function_call if read.tool_choice is None else read.tool_choice
    name = "function_call" if read.tool_choice is None else "tool_choice"
    if isinstance(said, _Choice) and said.allowed_tools is not None:
        dropped.append(f"{name}.allowed_tools")
        said = said.allowed_tools.mode
    if isinstance(said, _Choice):
        said = said.function
        if said is None:
            dropped.append(name)
    if said is None:
        return None
    if isinstance(said, str):
        if said not in _CHOICES:
            raise BadRequest(f'{name}: must be "auto", "none", "required" or a function', field=name)
        return _CHOICES[said] if offered else None
    if said.name not in offered:
        field = f"{name}.function.name"
        raise BadRequest(f"{field}: no tool is called {said.name}", field=field)
    return Named(said.name)


def _format(wanted: _Format | None, dropped: list[str]) -> JsonFormat | None:
    match wanted:
        case None | _Format(type="text"):
            return None
        case _Format(type="json_object", schema=schema):
            return JsonFormat(_raw(schema) if schema else None)
        case _Format(type="json_schema", json_schema=_Schema(schema=dict() as schema) as described):
            return JsonFormat(_raw(schema) if schema else None, described.name, described.strict)
        case _Format(type="json_schema"):
            field = "response_format.json_schema.schema"
            raise BadRequest(f"{field}: a schema is required", field=field)
        case _:
            dropped.append(f"response_format.{wanted.type}")
            return None


def _thinking(read: _Body) -> Thinking:
    effort = read.reasoning_effort
    enabled = read.chat_template_kwargs.enable_thinking if read.chat_template_kwargs else None
    return Thinking(enabled=False) if effort == "none" else Thinking(enabled=enabled, effort=effort)
