"""Requests of the Anthropic Messages protocol, read into the neutral form. Pure.

Bodies are open: fields, tools and blocks that have no place in the neutral form are named in `Request.dropped`.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from controlplane.protocols.anthropic_blocks import NULL, Dropped, Shape
from controlplane.protocols.anthropic_turns import read_messages, read_system
from controlplane.protocols.base import decode, read_fields
from controlplane.protocols.ir import (
    JsonFormat,
    Message,
    Named,
    Request,
    System,
    Thinking,
    Tool,
    ToolChoice,
)
from flockpy.errors import BadRequest

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


class _Body(msgspec.Struct):
    model: str = ""
    messages: list[msgspec.Raw] | None = None
    max_tokens: _Count | None = None
    system: msgspec.Raw = NULL
    stream: bool | None = None
    tools: list[msgspec.Raw] | None = None
    tool_choice: msgspec.Raw = NULL
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    thinking: msgspec.Raw = NULL
    output_config: msgspec.Raw = NULL
    output_format: msgspec.Raw = NULL
    metadata: msgspec.Raw = NULL


class _ToolKind(msgspec.Struct):
    type: str | None = None
    input_schema: msgspec.Raw = NULL


class _Tool(msgspec.Struct):
    name: str
    input_schema: msgspec.Raw = NULL
    description: str | None = None
    strict: bool | None = None
    eager_input_streaming: bool | None = None


class _Choice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: _Count | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: msgspec.Raw = NULL


class _Format(msgspec.Struct):
    type: str
    schema: msgspec.Raw = NULL
    name: str | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


_BODY: Final = msgspec.json.Decoder(_Body)
_BODY_FIELDS: Final = frozenset(_Body.__struct_fields__)
_TOOL_KIND: Final = msgspec.json.Decoder(_ToolKind)
_TOOL: Final = Shape(_Tool)
_CHOICE: Final = Shape(_Choice)
_THINKING: Final = Shape(_Thinking)
_OUTPUT_CONFIG: Final = Shape(_OutputConfig)
_FORMAT: Final = Shape(_Format)
_METADATA: Final = Shape(_Metadata)
_THINKS: Final[dict[str, bool | None]] = {"enabled": True, "disabled": False, "adaptive": None}
_CHOICES: Final[dict[str, ToolChoice]] = {"auto": "auto", "any": "required", "none": "none"}


def read_request(body: bytes) -> Request:
    """A body of POST /v1/messages. `max_tokens` 0, which asks to warm a prompt cache, is read as 1.

    Raises BadRequest that names the field.
    """
    request = read_countable(body)
    if request.max_tokens is None:
        raise BadRequest("max_tokens: Field required", field="max_tokens")
    return request


def read_countable(body: bytes) -> Request:
    """A body of POST /v1/messages/count_tokens: the same, without `max_tokens`. Raises BadRequest."""
    dropped = Dropped()
    dropped.add_unknown(read_fields(body), _BODY_FIELDS, "")
    asked = decode(_BODY, body)
    if asked.messages is None:
        raise BadRequest("messages: Field required", field="messages")
    if not asked.messages:
        raise BadRequest("messages: at least one message is required", field="messages")
    system = read_system(asked.system, "system", dropped)
    messages: list[Message] = [System(system)] if system else []
    for index, raw in enumerate(asked.messages):
        messages += read_messages(raw, f"messages[{index}]", dropped)
    tools = _tools(asked.tools or (), dropped)
    choice, parallel = _choice(asked.tool_choice, tools, len(tools) < len(asked.tools or ()), dropped)
    thinking, form = _output(asked, dropped)
    metadata = _METADATA.read(asked.metadata, "metadata", dropped) if asked.metadata != NULL else None
    return Request(
        asked.model,
        tuple(messages),
        stream=bool(asked.stream),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=None if asked.max_tokens is None else max(asked.max_tokens, 1),
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        stop=tuple(asked.stop_sequences or ()),
        format=form,
        thinking=thinking,
        user=metadata.user_id if metadata else None,
        dropped=dropped.paths(),
    )


def _tools(given: Sequence[msgspec.Raw], dropped: Dropped) -> tuple[Tool, ...]:
    """The client's own functions; tools that Anthropic runs or defines have no schema here and are dropped."""
    tools: list[Tool] = []
    for index, raw in enumerate(given):
        path = f"tools[{index}]"
        kind = decode(_TOOL_KIND, raw, path)
        if kind.input_schema == NULL and kind.type not in (None, "custom"):
            dropped.add(path, kind.type)
            continue
        tool = _TOOL.read(raw, path, dropped)
        schema = _object(tool.input_schema, f"{path}.input_schema")
        eager = bool(tool.eager_input_streaming)
        tools.append(Tool(tool.name, tool.description or "", schema, tool.strict, eager=eager))
    return tuple(tools)


def _choice(
    raw: msgspec.Raw, tools: tuple[Tool, ...], some_dropped: bool, dropped: Dropped
) -> tuple[ToolChoice | None, bool | None]:
    """Which tools may be called, and whether several at once."""
    if raw == NULL:
        return None, None
    choice = _CHOICE.read(raw, "tool_choice", dropped)
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if choice.type in _CHOICES:
        return (_CHOICES[choice.type], parallel) if tools else (None, None)
    if choice.type != "tool":
        raise BadRequest("tool_choice.type: must be auto, any, tool or none", field="tool_choice.type")
    if not choice.name:
        raise BadRequest("tool_choice.name: Field required", field="tool_choice.name")
    if any(tool.name == choice.name for tool in tools):
        return Named(choice.name), parallel
    if some_dropped:
        dropped.add("", "tool_choice")
        return None, parallel if tools else None
    raise BadRequest(f"tool_choice.name: no tool is called {choice.name!r}", field="tool_choice.name")


def _output(asked: _Body, dropped: Dropped) -> tuple[Thinking, JsonFormat | None]:
    """How much reasoning is asked for, and the form of the answer."""
    config = _OutputConfig()
    if asked.output_config != NULL:
        config = _OUTPUT_CONFIG.read(asked.output_config, "output_config", dropped)
    enabled = budget = None
    if asked.thinking != NULL:
        thinking = _THINKING.read(asked.thinking, "thinking", dropped)
        budget = thinking.budget_tokens
        if thinking.type in _THINKS:
            enabled = _THINKS[thinking.type]
        else:
            dropped.add("thinking", thinking.type)
    form = _format(config.format, "output_config.format", dropped)
    older = _format(asked.output_format, "output_format", dropped)
    return Thinking(enabled, budget, config.effort), form or older


def _format(raw: msgspec.Raw, path: str, dropped: Dropped) -> JsonFormat | None:
    if raw == NULL:
        return None
    form = _FORMAT.read(raw, path, dropped)
    if form.type != "json_schema":
        dropped.add(path, form.type)
        return None
    return JsonFormat(_object(form.schema, f"{path}.schema"), form.name or "answer")


def _object(schema: msgspec.Raw, path: str) -> msgspec.Raw:
    if schema == NULL:
        raise BadRequest(f"{path}: Field required", field=path)
    if not bytes(schema).startswith(b"{"):
        raise BadRequest(f"{path}: must be a JSON schema, which is an object", field=path)
    return schema
