"""Requests of the OpenAI Responses protocol in the neutral form. Pure.

The server keeps no responses: a request holds its whole conversation, and what only a vendor's servers could do is
dropped and named.
"""

from typing import Final

import msgspec

from controlplane.protocols.base import Fields, decode, read_fields
from controlplane.protocols.ir import JsonFormat, Request, Thinking, ToolChoice
from controlplane.protocols.openai_chat import Positive
from controlplane.protocols.responses_input import Conversation
from controlplane.protocols.responses_tools import Toolbox
from flockpy.errors import BadRequest


class _Format(msgspec.Struct):
    type: str
    name: str = "answer"
    schema: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: str | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None


class _Body(msgspec.Struct):
    model: str = ""
    input: str | tuple[msgspec.Raw, ...] | None = None
    instructions: str | None = None
    stream: bool | None = None
    tools: tuple[msgspec.Raw, ...] | None = None
    tool_choice: msgspec.Raw = msgspec.Raw(b"null")
    parallel_tool_calls: bool | None = None
    max_output_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: tuple[str, ...] | None = None
    store: bool | None = None
    truncation: str | None = None
    background: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None


_BODY: Final = msgspec.json.Decoder(_Body)

_STATEFUL: Final = ("previous_response_id", "conversation", "prompt")
_MEANINGLESS: Final = frozenset(
    {
        "client_metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "service_tier",
        "stream_options",
    }
)
"""Fields of which nothing is lost when they are not carried over."""
_UNSET: Final = frozenset({b"null", b"[]", b"{}", b'""', b"false"})
_INCLUDED: Final = "reasoning.encrypted_content"
"""What answers hold anyway, when there is such a thing."""


def read(body: bytes) -> Request:
    """The request that a body holds. Raises BadRequest that names the field."""
    fields = read_fields(body)
    for name in _STATEFUL:
        if bytes(fields.get(name, b"null")) not in _UNSET:
            raise BadRequest(
                f"{name}: this server is stateless and keeps neither responses nor prompts",
                field=name,
                hint="send the whole conversation in input",
            )
    asked = decode(_BODY, body)
    if asked.background:
        raise BadRequest(
            "background: this server is stateless and answers only while the client waits",
            field="background",
            hint="leave it out, and stream",
        )
    if asked.input is None or asked.input == ():
        raise BadRequest("input: a text, or a non-empty list of items, is required", field="input")
    box = Toolbox()
    box.add(asked.tools or (), "tools")
    talk = Conversation(box)
    if asked.instructions:
        talk.instruct(asked.instructions)
    talk.read(asked.input)
    choice: ToolChoice | None = box.choose(asked.tool_choice)
    return Request(
        model=asked.model,
        messages=talk.messages(),
        stream=bool(asked.stream),
        tools=tuple(box.tools),
        tool_choice=choice,
        parallel_tool_calls=asked.parallel_tool_calls if box.tools else None,
        max_tokens=asked.max_output_tokens,
        temperature=asked.temperature,
        top_p=asked.top_p,
        format=_format(asked.text),
        thinking=_thinking(asked.reasoning),
        user=asked.user or asked.safety_identifier,
        dropped=(*_dropped(fields, asked), *box.dropped, *talk.dropped),
    )


def _format(text: _Text | None) -> JsonFormat | None:
    if text is None or text.format is None or text.format.type == "text":
        return None
    if text.format.type == "json_object":
        return JsonFormat()
    if text.format.type != "json_schema":
        raise BadRequest(
            "text.format.type: must be text, json_object or json_schema", field="text.format.type"
        )
    if not bytes(text.format.schema).startswith(b"{"):
        raise BadRequest(
            "text.format.schema: a JSON schema, an object, is required", field="text.format.schema"
        )
    return JsonFormat(text.format.schema, text.format.name, text.format.strict)


def _thinking(reasoning: _Reasoning | None) -> Thinking:
    if reasoning is None:
        return Thinking()
    summary = reasoning.summary is not None or reasoning.generate_summary is not None
    if reasoning.effort == "none":
        return Thinking(enabled=False, summary=summary)
    return Thinking(effort=reasoning.effort, summary=summary)


def _dropped(fields: Fields, asked: _Body) -> list[str]:
    known = _Body.__struct_fields__
    unknown = [
        name
        for name, raw in fields.items()
        if name not in known and name not in _MEANINGLESS and bytes(raw) not in _UNSET
    ]
    if asked.text is not None and asked.text.verbosity is not None:
        unknown.append("text.verbosity")
    if asked.store:
        unknown.append("store")
    if asked.truncation not in (None, "disabled"):
        unknown.append("truncation")
    return unknown + [f"include[{i}]" for i, wish in enumerate(asked.include or ()) if wish != _INCLUDED]
