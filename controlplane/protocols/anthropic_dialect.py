"""A neutral request as the body of Anthropic's POST /v1/messages. Pure.

What the vendor would refuse is put so that it takes it: instructions in mid-conversation become the user's, turns of
one role in a row become one, ids have the letters that are allowed. What a family of models no longer or not yet knows
is told by its name, for a wrong parameter is a 400.
"""

import re
from typing import Any, Final

import msgspec

from controlplane.protocols.anthropic_answer import input_of
from controlplane.protocols.ir import (
    Assistant,
    AudioPart,
    ImagePart,
    Message,
    Named,
    Part,
    Request,
    System,
    TextPart,
    Tool,
    ToolCall,
    ToolResult,
    User,
)
from controlplane.protocols.signatures import whose

_Object = dict[str, Any]
_SAMPLED: Final = re.compile(r"claude-(?:[123]|[a-z]+-4(?![.-]?[7-9](?!\d)))")
"""Families up to 4.6 take sampling parameters, later ones refuse them."""
_BUDGETED: Final = re.compile(r"claude-(?:[123]|[a-z]+-4(?![.-]?[6-9](?!\d)))")
"""Families up to 4.5 think by a budget of tokens, later ones as much as they see fit for an effort."""
_SILENT: Final = re.compile(r"claude-(?:[123]|[a-z]+-4)")
"""Families that do not think unless told to."""
_SMALL: Final = re.compile(r"claude-(?:[12]|3-)")
_LEAST_BUDGET: Final = 1024
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 31999}
_EFFORTS: Final = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_DATA: Final = re.compile(r"data:([^;,]+);base64,")
_ID: Final = re.compile(r"[^A-Za-z0-9_-]")
_SCHEMA: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def render_request(request: Request, *, model: str, stream: bool) -> bytes:
    """The body; `model` is the vendor's name. It is for ``anthropic-version: 2023-06-01``. The vendor demands a
    `max_tokens`: without the client's it is what every model of the family can do."""
    limit = request.max_tokens or (4096 if _SMALL.search(model) else 32000)
    system, turns = _turns(request.messages)
    if request.format is not None and request.format.schema is None:
        system.append("Answer with one JSON object and nothing else.")
    body: _Object = {"model": model, "max_tokens": limit, "messages": turns, "stream": stream}
    if system:
        body["system"] = "\n\n".join(system)
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _choice(request)
    body["stop_sequences"] = [text for text in request.stop if text.strip()] or None
    body["metadata"] = {"user_id": request.user} if request.user else None
    body |= _thinking(request, model, limit)
    if _SAMPLED.search(model) and "thinking" not in body:
        body |= _sampling(request)
    if request.format is not None and request.format.schema is not None:
        form = {"type": "json_schema", "schema": request.format.schema}
        body["output_config"] = body.get("output_config", {}) | {"format": form}
    return msgspec.json.encode({name: value for name, value in body.items() if value is not None})


def _turns(messages: tuple[Message, ...]) -> tuple[list[str], list[_Object]]:
    """The instructions at the head, and the turns, each a list of blocks."""
    system: list[str] = []
    turns: list[_Object] = []
    for message in messages:
        match message:
            case System(text):
                if turns:
                    _say(turns, "user", [{"type": "text", "text": f"<system>\n{text}\n</system>"}])
                else:
                    system.append(text)
            case User(parts):
                _say(turns, "user", _parts(parts))
            case ToolResult():
                _say(turns, "user", [_result(message)])
            case Assistant():
                _say(turns, "assistant", _assistant(message))
    for turn in turns:
        turn["content"].sort(key=_is_no_result)
    return system, turns


def _say(turns: list[_Object], role: str, blocks: list[_Object]) -> None:
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _is_no_result(block: _Object) -> bool:
    """What tools answered must be the first that is said after their calls."""
    return block["type"] != "tool_result"


def _parts(parts: tuple[Part, ...]) -> list[_Object]:
    blocks: list[_Object] = []
    for part in parts:
        match part:
            case TextPart(text):
                if text.strip():  # blocks of white space are refused
                    blocks.append({"type": "text", "text": text})
            case ImagePart(url):
                blocks.append({"type": "image", "source": _source(url)})
            case AudioPart():
                blocks.append({"type": "text", "text": "(a recording, which cannot be heard here)"})
    return blocks


def _source(url: str) -> _Object:
    if data := _DATA.match(url):
        return {"type": "base64", "media_type": data[1], "data": url[data.end() :]}
    return {"type": "url", "url": url}


def _result(message: ToolResult) -> _Object:
    content = _parts(message.parts)
    result: _Object = {"type": "tool_result", "tool_use_id": _id(message.call_id)}
    return (
        result | ({"content": content} if content else {}) | ({"is_error": True} if message.is_error else {})
    )


def _assistant(message: Assistant) -> list[_Object]:
    """Thoughts without their proof of origin are left out: the vendor takes back its own alone."""
    blocks: list[_Object] = []
    for thought in message.thoughts:
        if whose(thought.signature) != "anthropic":
            continue
        if thought.redacted:
            blocks.append({"type": "redacted_thinking", "data": thought.signature})
        else:
            blocks.append({"type": "thinking", "thinking": thought.text, "signature": thought.signature})
    if message.text.strip():
        blocks.append({"type": "text", "text": message.text})
    return blocks + [_call(call) for call in message.calls]


def _call(call: ToolCall) -> _Object:
    given = msgspec.Raw(input_of(call.arguments).encode())
    return {"type": "tool_use", "id": _id(call.id), "name": call.name, "input": given}


def _id(call_id: str) -> str:
    return _ID.sub("_", call_id)


def _tool(tool: Tool) -> _Object:
    schema = _SCHEMA.decode(tool.parameters)
    schema.setdefault("type", msgspec.Raw(b'"object"'))
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


def _choice(request: Request) -> _Object | None:
    single = (
        {}
        if request.parallel_tool_calls is None
        else {"disable_parallel_tool_use": not request.parallel_tool_calls}
    )
    match request.tool_choice:
        case Named(name):
            return {"type": "tool", "name": name, **single}
        case "required":
            return {"type": "any", **single}
        case "none":
            return {"type": "none"}
        case "auto":
            return {"type": "auto", **single}
        case None:
            return {"type": "auto", **single} if single else None


def _sampling(request: Request) -> _Object:
    """The vendor's temperatures end at 1, and it takes one of temperature and `top_p`."""
    temperature = None if request.temperature is None else min(request.temperature, 1.0)
    return {
        "temperature": temperature,
        "top_p": request.top_p if temperature is None else None,
        "top_k": request.top_k,
    }


def _thinking(request: Request, model: str, limit: int) -> _Object:
    wanted = request.thinking
    effort = wanted.effort or ""
    if wanted.enabled is False or effort == "none":
        return {} if _SILENT.search(model) else {"thinking": {"type": "disabled"}}
    if not _BUDGETED.search(model):
        asked = wanted.enabled or wanted.budget_tokens or effort
        said: _Object = {"thinking": {"type": "adaptive"}} if asked else {}
        return said | ({"output_config": {"effort": _EFFORTS[effort]}} if effort in _EFFORTS else {})
    if wanted.enabled is None and effort not in _BUDGETS:
        return {}
    budget = min(wanted.budget_tokens or _BUDGETS.get(effort, _BUDGETS["medium"]), limit - 1)
    if budget < _LEAST_BUDGET or isinstance(request.tool_choice, Named) or request.tool_choice == "required":
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}} if _may_think(request.messages) else {}


def _may_think(messages: tuple[Message, ...]) -> bool:
    """Within a loop of tools the last turn of the model must begin with a thought of the vendor's own."""
    for message in reversed(messages):
        if isinstance(message, Assistant):
            own = any(whose(thought.signature) == "anthropic" for thought in message.thoughts)
            return own or not message.calls
        if isinstance(message, User):
            return True
    return True
