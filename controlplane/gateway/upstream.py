"""What is sent to an engine for a request: the client's own bytes, changed only where they must be. Pure."""

import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from controlplane.protocols.base import Fields, Inbound, decode, rewrite
from flockpy.engines.base import Quirks
from flockpy.errors import BadRequest, ContextTooLong, EngineDied, FlockError, without_paths
from flockpy.placement import Endpoint

_OPTIONS: msgspec.json.Decoder[Fields | None] = msgspec.json.Decoder(Fields | None)


@lru_cache(maxsize=4096)
def _head_start(endpoint: Endpoint, path: str, content_type: bytes) -> bytes:
    parts = urlsplit(endpoint.url)
    lines = [
        f"POST {parts.path.rstrip('/')}{path} HTTP/1.1",
        f"host: {parts.netloc}",
        f"content-type: {content_type.decode()}",
    ]
    if endpoint.key:
        lines.append(f"authorization: Bearer {endpoint.key}")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def head_of(endpoint: Endpoint, path: str, content_type: bytes, length: int, traceparent: bytes) -> bytes:
    """The head of the request to an engine; `traceparent` must have been checked."""
    trace = b"traceparent: " + traceparent + b"\r\n" if traceparent else b""
    return _head_start(endpoint, path, content_type) + trace + b"content-length: %d\r\n\r\n" % length


def body_for(
    inbound: Inbound,
    body: bytes,
    *,
    model: str,
    quirks: Quirks,
    max_tokens_cap: int | None,
    live: bool = False,
) -> bytes:
    """The body to send. `model` is the engine's name for it; `max_tokens_cap` bounds a request that set no bound;
    `live` asks for a stream with progress, whatever the client wants.
    """
    changes: dict[str, Any] = {}
    if inbound.model != model and (quirks.checks_model_name or not inbound.model or inbound.model == "auto"):
        changes["model"] = model
    if live:
        changes |= {"stream": True, "return_progress": True}
    if (inbound.stream or live) and not inbound.wants_usage:
        options: Fields = decode(_OPTIONS, inbound.fields.get("stream_options", b"null")) or {}
        changes["stream_options"] = {**options, "include_usage": True}
    if inbound.max_tokens is None and (max_tokens_cap or quirks.max_tokens_unless_named):
        changes["max_tokens"] = max_tokens_cap or quirks.max_tokens_unless_named
    if quirks.ignores_named_tool_choice and "tool_choice" in inbound.fields:
        changes |= _named_tool(inbound)
    forbidden = quirks.never_sent.intersection(inbound.fields)
    if not changes and not forbidden:
        return body
    kept = {name: raw for name, raw in inbound.fields.items() if name not in forbidden}
    return rewrite(kept, changes)


def _named_tool(inbound: Inbound) -> dict[str, Any]:
    """For engines that take a named tool for "auto": offer only that tool, and require one.

    Raises BadRequest when the named tool is not among those offered.
    """
    choice = decode(_CHOICE, inbound.fields["tool_choice"], "tool_choice")
    if not isinstance(choice, _Choice):
        return {}
    name, offered = choice.function.name, inbound.fields.get("tools", b"null")
    tools, raws = decode(_TOOLS, offered, "tools") or (), decode(_RAWS, offered, "tools") or ()
    named = [
        raw for raw, tool in zip(raws, tools, strict=True) if tool.function and tool.function.name == name
    ]
    if not named:
        raise BadRequest(f"tool_choice: no tool named {name!r} is offered in tools", field="tool_choice")
    return {"tools": named, "tool_choice": "required"}


class _Named(msgspec.Struct):
    name: str


class _Choice(msgspec.Struct):
    function: _Named


class _Tool(msgspec.Struct):
    function: _Named | None = None


_CHOICE: msgspec.json.Decoder[_Choice | str | None] = msgspec.json.Decoder(_Choice | str | None)
_TOOLS: msgspec.json.Decoder[list[_Tool] | None] = msgspec.json.Decoder(list[_Tool] | None)
_RAWS: msgspec.json.Decoder[list[msgspec.Raw] | None] = msgspec.json.Decoder(list[msgspec.Raw] | None)


def fixes(surface: str, quirks: Quirks, engine_model: str, model: str) -> tuple[tuple[bytes, bytes], ...]:
    """What to replace in answers: chat ids that an engine gives every completion, its own name for the model.

    Exact: inside of a JSON string these quotes would be escaped, so only a key or a value of the answer can match.
    """
    found: list[tuple[bytes, bytes]] = []
    if quirks.chat_ids_everywhere and surface == "completions":
        found.append((b'"id":"chatcmpl-', b'"id":"cmpl-'))
    if engine_model != model:
        found.append((msgspec.json.encode(engine_model), msgspec.json.encode(model)))
    return tuple(found)


class _EngineError(msgspec.Struct):
    message: str = ""
    type: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _EngineAnswer(msgspec.Struct):
    error: _EngineError | str | None = None
    message: str = ""


_FIELD = re.compile(r"Field '([^']+)': ")
_COMPLAINTS = {
    "Failed to parse messages": "messages",
    "unsupported content[].type": "messages",
    "All non-assistant messages": "messages",
    "image input is not supported": "messages",
    "audio input is not supported": "messages",
    "Failed to parse tools": "tools",
    "Invalid tool_choice": "tool_choice",
    "response_format type": "response_format",
    "Prompt contains invalid tokens": "prompt",
    "Unknown reasoning format": "reasoning_format",
    "Cannot use": "grammar",
    "Cannot specify": "grammar",
    "Failed to parse": None,
    "Unable to generate": None,
}
"""How llama.cpp begins what it says of a client's mistake, whatever status it gives it, and the field it means."""


def refusal(status: int, body: bytes, engine: str) -> FlockError:
    """The error a client gets for an engine's error answer (status 400 or above, but 401, 403, 429 and 503)."""
    try:
        answer = msgspec.json.decode(body.decode(errors="replace"), type=_EngineAnswer)
    except (msgspec.DecodeError, RecursionError):
        answer = _EngineAnswer()
    error = answer.error or answer.message  # the latter is vLLM's
    if isinstance(error, str):
        error = _EngineError(error)
    message = f"the engine ({engine}) refused: {without_paths(error.message[:2000]) or f'status {status}'}"
    if error.type == "exceed_context_size_error":
        return ContextTooLong(message, field="messages", tokens=error.n_prompt_tokens, maximum=error.n_ctx)
    complaint = next((begin for begin in _COMPLAINTS if error.message.startswith(begin)), None)
    if complaint is not None:
        return BadRequest(message, field=_COMPLAINTS[complaint])
    if status < 500 or status == 501:
        named = _FIELD.match(error.message)
        return BadRequest(message, field=named[1] if named else None)
    return EngineDied(message, retry_after=1)
