"""A neutral request as the body of Gemini's generateContent and streamGenerateContent on Vertex AI. Pure.

What a family of models knows is told by its name, for a wrong parameter is a 400: up to 2.0 they do not think, 2.5
thinks by a budget of tokens, later ones by a level and demand that their calls come back signed.
"""

import re
from typing import Any, Final

import msgspec

from controlplane.protocols.gemini_turns import render_turns
from controlplane.protocols.ir import JsonFormat, Named, Request, Tool

_Object = dict[str, Any]
_THOUGHTLESS: Final = re.compile(r"gemini-(?:1\.|2\.0)")
_BUDGETED: Final = re.compile(r"gemini-2\.5")
_OLD: Final = re.compile(r"gemini-[12]\.")
_PRO: Final = re.compile(r"-pro\b")
_LITE: Final = re.compile(r"-flash-lite\b")
_TWO_LEVELS: Final = re.compile(r"gemini-3-pro\b")
_BUDGETS: Final = {"minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS: Final = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
_ROOM_TO_THINK: Final = 2048
"""Tokens; less is hardly meant for thoughts and an answer."""
_MOST_STOPS: Final = 5
_MOST_TOP_K: Final = 40
_SCHEMA: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def render_request(request: Request, *, model: str) -> bytes:
    """The body; `model` is the vendor's name, which stands in the address alone, as does whether it is streamed.

    Raises BadRequest for what cannot be put.
    """
    system, contents = render_turns(request.messages, demands_signatures=not _OLD.match(model))
    config = _sampling(request)
    if request.max_tokens is not None:
        config["maxOutputTokens"] = min(request.max_tokens, _most(model))
    config["thinkingConfig"] = _thinking(request, model)
    if request.format is not None:
        if request.tools and _OLD.match(model):  # these know JSON or functions, not both
            system.append(_wish(request.format))
        else:
            config["responseMimeType"] = "application/json"
            config["responseJsonSchema"] = request.format.schema
    config = {name: value for name, value in config.items() if value is not None}
    body: _Object = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": [{"text": "\n\n".join(system)}]}
    if request.tools:
        named = {tool.name: tool for tool in request.tools}  # a name that is there twice is refused
        body["tools"] = [{"functionDeclarations": [_tool(tool) for tool in named.values()]}]
        if choice := _choice(request):
            body["toolConfig"] = {"functionCallingConfig": choice}
    if config:
        body["generationConfig"] = config
    return msgspec.json.encode(body)


def _most(model: str) -> int:
    """Tokens a model may be let write; more is refused."""
    return 8192 if _THOUGHTLESS.match(model) else 65536


def _sampling(request: Request) -> _Object:
    return {
        "temperature": None if request.temperature is None else min(request.temperature, 2.0),
        "topP": request.top_p,
        "topK": min(request.top_k, _MOST_TOP_K) if request.top_k and request.top_k > 0 else None,
        "seed": None if request.seed is None else request.seed % 2**31,
        "stopSequences": [text for text in request.stop if text][:_MOST_STOPS] or None,
    }


def _wish(wanted: JsonFormat) -> str:
    wish = "Unless you call a function, answer with one JSON object and nothing else."
    if wanted.schema is None:
        return wish
    return f"{wish} It is of this JSON schema: {bytes(wanted.schema).decode()}"


def _tool(tool: Tool) -> _Object:
    schema = _SCHEMA.decode(tool.parameters)
    schema.pop("$schema", None)
    schema.setdefault("type", msgspec.Raw(b'"object"'))
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parametersJsonSchema": schema}


def _choice(request: Request) -> _Object | None:
    match request.tool_choice:
        case Named(name):
            return {"mode": "ANY", "allowedFunctionNames": [name]}
        case "required":
            return {"mode": "ANY"}
        case "none":
            return {"mode": "NONE"}
        case "auto":
            return {"mode": "AUTO"}
        case None:
            return None


def _thinking(request: Request, model: str) -> _Object | None:
    """Thoughts are shown where the client says anything of them. Only flash models can be kept from thinking.

    What they think counts as written: where the client's bound is small and it asks for no thoughts, nothing else would
    be written.
    """
    wanted = request.thinking
    effort = wanted.effort or ""
    if _THOUGHTLESS.match(model):
        return None
    asked = wanted.enabled or effort or wanted.budget_tokens or wanted.summary
    is_small = not asked and request.max_tokens is not None and request.max_tokens < _ROOM_TO_THINK
    if wanted.enabled is False or effort == "none" or is_small:
        if _BUDGETED.match(model):
            return {"thinkingBudget": 128 if _PRO.search(model) else 0}
        return {"thinkingLevel": "LOW" if _PRO.search(model) else "MINIMAL"}
    if not asked:
        return None
    shown: _Object = {"includeThoughts": True}
    if _BUDGETED.match(model):
        half = (request.max_tokens or _most(model)) // 2
        budget = wanted.budget_tokens or (min(_BUDGETS[effort], half) if effort in _BUDGETS else None)
        least, most = (128, 32768) if _PRO.search(model) else (512 if _LITE.search(model) else 1, 24576)
        return shown if budget is None else shown | {"thinkingBudget": max(least, min(budget, most))}
    level = _LEVELS.get(effort) or _level(wanted.budget_tokens)
    if _PRO.search(model):
        level = {"MINIMAL": "LOW", "MEDIUM": "HIGH" if _TWO_LEVELS.match(model) else "MEDIUM"}.get(
            level, level
        )
    return shown | ({"thinkingLevel": level} if level else {})


def _level(budget: int | None) -> str:
    if not budget:
        return ""
    return (
        "LOW" if budget <= _BUDGETS["low"] * 2 else "MEDIUM" if budget <= _BUDGETS["medium"] * 2 else "HIGH"
    )
