"""What a picky chat engine refuses. Pure.

Each rule is one that some engine, or the chat template of some model, really has: whoever pleases all of them pleases
every engine.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Body = Mapping[str, Any]

OPENAI = frozenset(
    (
        "model",
        "messages",
        "stream",
        "stream_options",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "n",
        "stop",
        "seed",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "top_logprobs",
        "user",
        "response_format",
        "reasoning_effort",
        "verbosity",
        "store",
        "metadata",
        "service_tier",
        "prediction",
        "modalities",
        "audio",
        "web_search_options",
        "prompt_cache_key",
        "safety_identifier",
    )
)
LLAMA_CPP = frozenset(
    (
        "top_k",
        "min_p",
        "typical_p",
        "repeat_penalty",
        "repeat_last_n",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "grammar",
        "json_schema",
        "cache_prompt",
        "id_slot",
        "n_predict",
        "n_keep",
        "samplers",
        "timings_per_token",
        "return_progress",
        "reasoning_format",
        "chat_template_kwargs",
        "thinking_budget_tokens",
        "parse_tool_calls",
    )
)
ROLES = ("system", "user", "assistant", "tool")
PARTS = {
    "user": ("text", "image_url", "input_audio"),
    "tool": ("text",),
    "assistant": ("text",),
    "system": ("text",),
}


def complaints(body: object) -> list[str]:
    """What is wrong with the body of a chat request, each with its path; nothing when it is served."""
    if not isinstance(body, dict):
        return ["the body is no JSON object"]
    return [*_top(body), *_tools(body), *_messages(body.get("messages"))]


def _top(body: Body) -> Iterator[str]:
    for name in body:
        if name not in OPENAI | LLAMA_CPP:
            yield f"{name}: unknown field"
        elif body[name] is None:
            yield f"{name}: is null"
    if not isinstance(body.get("model"), str) or not body["model"]:
        yield "model: is no name"
    for name in ("max_tokens", "max_completion_tokens", "n_predict"):
        if name in body and not (isinstance(body[name], int) and body[name] >= 1):
            yield f"{name}: {body[name]!r} is less than 1"
    if "stream_options" in body and not body.get("stream"):
        yield "stream_options: only with stream"


def _tools(body: Body) -> Iterator[str]:
    names: list[str] = []
    tools = body.get("tools")
    for i, tool in enumerate(tools if isinstance(tools, list) else ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            yield f"tools[{i}]: is no function"
            continue
        if set(tool) - {"type", "function"}:
            yield f"tools[{i}]: unknown fields {sorted(set(tool) - {'type', 'function'})}"
        name, parameters = function.get("name"), function.get("parameters")
        if not isinstance(name, str) or not 0 < len(name) <= 64:
            yield f"tools[{i}].function.name: {name!r} has not 1 to 64 characters"
        elif not name.replace("_", "").replace("-", "").isalnum():
            yield f"tools[{i}].function.name: {name!r} has other characters than letters, digits, _ and -"
        elif name in names:
            yield f"tools[{i}].function.name: {name!r} is there twice"
        if not isinstance(parameters, dict) or parameters.get("type") != "object":
            yield f"tools[{i}].function.parameters: is no schema of an object"
        names.append(str(name))
    if tools is not None and not names:
        yield "tools: is empty"
    if "tool_choice" in body:
        yield from _tool_choice(body["tool_choice"], names)
    if "parallel_tool_calls" in body and not names:
        yield "parallel_tool_calls: only with tools"


def _tool_choice(choice: object, names: Sequence[str]) -> Iterator[str]:
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        if choice.get("type") != "function" or name not in names:
            yield f"tool_choice: names no tool that is offered: {name!r}"
    elif choice not in ("auto", "none", "required"):
        yield f"tool_choice: {choice!r} is none of auto, none, required"
    elif not names:
        yield "tool_choice: only with tools"


def _messages(messages: object) -> Iterator[str]:
    if not isinstance(messages, list) or not messages:
        yield "messages: is empty"
        return
    open_calls: dict[str, None] = {}
    for i, message in enumerate(messages):
        at = f"messages[{i}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            yield f"{at}.role: {role!r} is none of {', '.join(ROLES)}"
            continue
        if role == "system" and i > 0:
            yield f"{at}.role: system is not the first message"
        calls = message.get("tool_calls") if role == "assistant" else None
        yield from _content(message, role, at, optional=bool(calls))
        if role == "tool":
            if message.get("tool_call_id") not in open_calls:
                yield f"{at}.tool_call_id: {message.get('tool_call_id')!r} answers no open call"
            open_calls.pop(str(message.get("tool_call_id")), None)
        elif open_calls:
            yield f"{at}: the calls {', '.join(open_calls)} are not answered yet"
            open_calls = {}
        if calls is not None:
            yield from _calls(calls, at)
            open_calls = {call["id"]: None for call in calls if isinstance(call, dict) and call.get("id")}
    if not any(isinstance(message, dict) and message.get("role") == "user" for message in messages):
        yield "messages: no user speaks"
    if open_calls:
        yield f"messages: the calls {', '.join(open_calls)} are not answered yet"


def _content(message: Body, role: str, at: str, *, optional: bool) -> Iterator[str]:
    content = message.get("content")
    if content is None:
        if not optional:
            yield f"{at}.content: is null"
    elif isinstance(content, list):
        for k, part in enumerate(content):
            kind = part.get("type") if isinstance(part, dict) else None
            if kind not in PARTS[role]:
                yield f"{at}.content[{k}]: {kind!r} may not stand in a message of role {role}"
            elif set(part) != {"type", kind}:
                yield f"{at}.content[{k}]: has the fields {sorted(part)}"
            elif kind == "image_url" and not str(part[kind].get("url", "")).startswith("data:image/"):
                yield f"{at}.content[{k}].image_url.url: is no data URL of an image"
        if not content:
            yield f"{at}.content: is empty"
    elif not isinstance(content, str):
        yield f"{at}.content: is neither text nor a list"


def _calls(calls: object, at: str) -> Iterator[str]:
    if not isinstance(calls, list) or not calls:
        yield f"{at}.tool_calls: is empty"
        return
    for k, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not call.get("id") or call.get("type") != "function":
            yield f"{at}.tool_calls[{k}]: has no id, type or function"
        elif not isinstance(function.get("arguments"), str) or not function.get("name"):
            yield f"{at}.tool_calls[{k}].function: has no name, or arguments that are no text"
