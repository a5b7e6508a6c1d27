"""A neutral request as the body of Bedrock's Converse and ConverseStream. Pure.

One body for every family of models behind it but Anthropic's, which are asked in their own protocol. Each family
refuses parameters that it does not know, so these are told by the model's name; what a family cannot be told by a
parameter stands in its instructions.
"""

import re
from typing import Any, Final

import msgspec

from controlplane.protocols.chat_dialect import THREE_EFFORTS
from controlplane.protocols.converse_schema import tool_schema
from controlplane.protocols.converse_turns import conversation, has_tools, wire_name
from controlplane.protocols.ir import Assistant, JsonFormat, Named, Request

_Object = dict[str, Any]
_FORCED: Final = re.compile(r"amazon\.nova|mistral\.")
"""Families that can be told to call some tool; Nova can be told which."""
_FORMED: Final = re.compile(r"qwen\.|deepseek\.v3|google\.|nvidia\.|minimax\.|moonshot")
"""Families whose answers can be held to a JSON schema."""
_UNINSTRUCTED: Final = re.compile(
    r"amazon\.titan|mistral\.mi[sx]tral-(?:7b|8x7b)|cohere\.command-(?:text|light)"
)
"""Families without a place for instructions."""
_NOVA: Final = re.compile(r"amazon\.nova")
_NOVA_THINKS: Final = re.compile(r"amazon\.nova-2")
_GPT: Final = re.compile(r"openai\.")
_TOP_K: Final = {"mistral.": "top_k", "cohere.": "k"}
_OBJECT_SCHEMA: Final = {"type": "object"}


def render_request(request: Request, *, model: str) -> bytes:
    """The body; the model and whether it streams stand in the address. Raises BadRequest for what cannot be sent."""
    head, turns = conversation(request.messages, model)
    tools, choice, told = _tools(request, model, has_tools(turns))
    head += told
    form, told = _format(request.format, model)
    head += told
    body: _Object = {"messages": turns}
    if head and _UNINSTRUCTED.search(model):
        turns[0]["content"].insert(0, {"text": "\n\n".join(head)})
    elif head:
        body["system"] = [{"text": "\n\n".join(head)}]
    more = _thinking(request, model)
    body["inferenceConfig"] = _inference(request, high="high" in str(more.get("reasoningConfig")))
    if tools:
        body["toolConfig"] = {"tools": tools} | ({"toolChoice": choice} if choice else {})
    body["outputConfig"] = form
    body["additionalModelRequestFields"] = more | _top_k(request, model)
    if request.stop:  # which of them it met is not said otherwise
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    return msgspec.json.encode({name: value for name, value in body.items() if value})


def told_names(request: Request) -> dict[str, str]:
    """How the client knows the tools that had to be renamed, by the names that the model will call them by."""
    return {name: tool.name for tool in request.tools if (name := wire_name(tool.name)) != tool.name}


def _inference(request: Request, *, high: bool) -> _Object:
    """`high`: the model thinks as hard as it can, which rules sampling parameters out."""
    temperature = None if high or request.temperature is None else min(request.temperature, 1.0)
    values: _Object = {
        "maxTokens": request.max_tokens,
        "temperature": temperature,
        "topP": None if high else request.top_p,
        "stopSequences": [text for text in request.stop if text.strip()] or None,
    }
    return {name: value for name, value in values.items() if value is not None}


def _tools(request: Request, model: str, used: bool) -> tuple[list[_Object], _Object | None, list[str]]:
    """The tools, which of them to call, and what of that is said in words. A conversation with calls in it (`used`) is
    refused without any tools."""
    plain = _NOVA.search(model) is not None
    tools = [
        _spec(tool.name, tool.description, tool_schema(tool.parameters, plain=plain))
        for tool in request.tools
    ]
    if not tools or request.tool_choice == "none":
        if not used:
            return [], None, []
        return tools or _remembered(request), None, ["Answer without calling any tool."]
    match request.tool_choice:
        case Named(name) if _NOVA.search(model):
            return tools, {"tool": {"name": wire_name(name)}}, []
        case Named(name):
            return tools, None, [f"Answer with a call of the tool {wire_name(name)}."]
        case "required" if _FORCED.search(model):
            return tools, {"any": {}}, []
        case "required":
            return tools, None, ["Answer with a call of one of the tools."]
        case _:
            return tools, None, []


def _remembered(request: Request) -> list[_Object]:
    """The tools that earlier turns called, or else one that nobody calls."""
    names = [
        call.name for message in request.messages if isinstance(message, Assistant) for call in message.calls
    ]
    return [_spec(name, "(no longer there)", _OBJECT_SCHEMA) for name in dict.fromkeys(names or ["none"])]


def _spec(name: str, description: str, schema: object) -> _Object:
    said = {"description": description} if description.strip() else {}
    return {"toolSpec": {"name": wire_name(name), **said, "inputSchema": {"json": schema}}}


def _format(wanted: JsonFormat | None, model: str) -> tuple[_Object | None, list[str]]:
    """Schemas that were not made to be held to have what is refused there."""
    if wanted is None:
        return None, []
    if wanted.schema is None:
        return None, ["Answer with one JSON object and nothing else."]
    schema = bytes(wanted.schema).decode()
    if not (wanted.strict and _FORMED.search(model)):
        return None, [f"Answer with one JSON object of this schema and nothing else:\n{schema}"]
    held = {"schema": schema, "name": wire_name(wanted.name)}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": held}}}, []


def _thinking(request: Request, model: str) -> _Object:
    wanted = request.thinking
    off = wanted.enabled is False or wanted.effort == "none"
    effort = THREE_EFFORTS.get(wanted.effort or "", "medium" if wanted.enabled else "")
    if off or not effort:
        return {}
    if _GPT.search(model):
        return {"reasoning_effort": effort}
    if _NOVA_THINKS.search(model):
        if effort == "high" and request.max_tokens is not None:  # not with a bound on the answer
            effort = "medium"
        return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": effort}}
    return {}


def _top_k(request: Request, model: str) -> _Object:
    if request.top_k is None:
        return {}
    if _NOVA.search(model):
        return {"inferenceConfig": {"topK": request.top_k}}
    return {name: request.top_k for family, name in _TOP_K.items() if family in model}
