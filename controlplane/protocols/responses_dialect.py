"""A neutral request as the body of OpenAI's POST /v1/responses. Pure.

Nothing is stored there: a request holds its whole conversation, and reasoning comes back encrypted and goes along
again. What the vendor would refuse is put so that it takes it: calls without an answer get one, answers without a call
become the user's words, names and ids that are too long are shortened. This protocol has no stop sequences (see
`stop_sequences`), no `top_k` and no `seed`.
"""

import re
from hashlib import sha256
from typing import Any, Final

import msgspec

from controlplane.protocols import responses_models as models
from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
    JsonFormat,
    Message,
    Named,
    Part,
    Request,
    System,
    TextPart,
    Thought,
    Tool,
    ToolResult,
    User,
)
from controlplane.protocols.signatures import whose
from controlplane.protocols.strict_schema import fits

_Object = dict[str, Any]
_LONGEST: Final = 64
"""Of a tool's name, of the id of a call and of who a user is, in characters."""
LEAST_OUTPUT: Final = 16
_ILLEGAL: Final = re.compile(r"[^a-zA-Z0-9_-]")
_SCHEMA: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TYPE: Final = msgspec.Raw(b'"object"')
_NO_PROPERTIES: Final = msgspec.Raw(b"{}")


def render_request(request: Request, *, model: str, stream: bool) -> bytes:
    """The body; `model` is the vendor's name."""
    items = _items(request.messages)
    effort = models.effort(model, request.thinking)
    body: _Object = {"model": model, "input": items, "stream": stream, "store": False}
    if request.max_tokens is not None:
        body["max_output_tokens"] = models.most(model, max(request.max_tokens, LEAST_OUTPUT))
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _choice(request)
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if models.reasons(model):
        summary = "auto" if request.thinking.summary or request.thinking.enabled else None
        wish = {"effort": effort, "summary": summary}
        body["reasoning"] = {name: value for name, value in wish.items() if value} or None
        body["include"] = ["reasoning.encrypted_content"]
    if models.samples(model, effort):
        body |= {"temperature": request.temperature, "top_p": request.top_p}
    if request.format is not None:
        body["text"] = {"format": _format(request.format)}
        if request.format.schema is None and not _speaks_of_json(request.messages):
            items.insert(0, _message("developer", "Answer with one JSON object and nothing else."))
    if request.user:
        body["safety_identifier"] = sha256(request.user.encode(errors="replace")).hexdigest()
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def sent_name(name: str) -> str:
    """The name by which a tool is offered: its own where that is legal."""
    return _ILLEGAL.sub("_", name) if len(name) <= _LONGEST else _short(_ILLEGAL.sub("_", name))


def _short(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 13]}_{sha256(text.encode(errors='replace')).hexdigest()[:12]}"


def _items(messages: tuple[Message, ...]) -> list[_Object]:
    called = {call.id for message in messages if isinstance(message, Assistant) for call in message.calls}
    answered = {message.call_id for message in messages if isinstance(message, ToolResult)}
    items: list[_Object] = []
    for message in messages:
        match message:
            case System(text):
                items += [_message("developer", text)] if text else []
            case User(parts):
                items += _said(parts)
            case Assistant():
                items += _turn(message, answered)
            case ToolResult(call_id) if call_id in called:
                output = {
                    "type": "function_call_output",
                    "call_id": _short(call_id),
                    "output": _told(message),
                }
                items.append(output)
            case ToolResult(parts=parts):
                items += _said((TextPart("(what a tool answered)"), *parts))
    return items


def _message(role: str, text: str) -> _Object:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def _said(parts: tuple[Part, ...]) -> list[_Object]:
    content = _parts(parts)
    return [{"type": "message", "role": "user", "content": content}] if content else []


def _parts(parts: tuple[Part, ...]) -> list[_Object]:
    made: list[_Object] = []
    for part in parts:
        match part:
            case TextPart(text):
                made += [{"type": "input_text", "text": text}] if text else []
            case ImagePart(url, detail):
                made.append({"type": "input_image", "image_url": url, "detail": detail or "auto"})
            case AudioPart():
                made.append({"type": "input_text", "text": "(a recording, which cannot be heard here)"})
    return made


def _turn(message: Assistant, answered: set[str]) -> list[_Object]:
    """Reasoning must be followed by what it led to."""
    items: list[_Object] = []
    if message.text or message.calls:
        items += [_thought(thought) for thought in message.thoughts if whose(thought.signature) == "openai"]
    if message.text:
        content: _Object = {"type": "output_text", "text": message.text, "annotations": []}
        items.append({"type": "message", "role": "assistant", "content": [content]})
    for call in message.calls:
        told = {"name": sent_name(call.name), "arguments": call.arguments or "{}"}
        items.append({"type": "function_call", "call_id": _short(call.id), **told})
    for call in message.calls:
        if call.id not in answered:
            items.append({"type": "function_call_output", "call_id": _short(call.id), "output": "(aborted)"})
    return items


def _thought(thought: Thought) -> _Object:
    """Without an id: the vendor keeps nothing that one could be looked up in."""
    summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
    return {"type": "reasoning", "summary": summary, "encrypted_content": thought.signature}


def _told(message: ToolResult) -> str | list[_Object]:
    parts = _parts(message.parts)
    texts = [part["text"] for part in parts if part["type"] == "input_text"]
    if message.is_error and "error" not in "".join(texts).casefold():
        parts.insert(0, {"type": "input_text", "text": "Error:"})
    if len(parts) > 1 or (parts and not texts):
        return parts
    return parts[0]["text"] if parts else ""


def _tool(tool: Tool) -> _Object:
    """Tools are strict here unless it is said that they are not, and refused where their schema is none for that."""
    schema = _SCHEMA.decode(tool.parameters)
    schema.setdefault("type", _TYPE)
    schema.setdefault("properties", _NO_PROPERTIES)
    told = {"name": sent_name(tool.name), "description": tool.description, "parameters": schema}
    return {"type": "function", **told, "strict": tool.strict is True and fits(tool.parameters)}


def _choice(request: Request) -> Any:
    if isinstance(request.tool_choice, Named):
        return {"type": "function", "name": sent_name(request.tool_choice.name)}
    return request.tool_choice


def _format(wanted: JsonFormat) -> _Object:
    if wanted.schema is None:
        return {"type": "json_object"}
    form: _Object = {"type": "json_schema", "name": sent_name(wanted.name), "schema": wanted.schema}
    return form | {"strict": fits(wanted.schema) if wanted.strict is None else wanted.strict}


def _speaks_of_json(messages: tuple[Message, ...]) -> bool:
    """Which the vendor demands of whoever wants a JSON object."""
    texts = (part.text for message in messages for part in _shown(message) if isinstance(part, TextPart))
    return any("json" in text.casefold() for text in texts)


def _shown(message: Message) -> tuple[Part, ...]:
    match message:
        case System(text) | Assistant(text):
            return (TextPart(text),)
        case User(parts) | ToolResult(parts=parts):
            return parts
