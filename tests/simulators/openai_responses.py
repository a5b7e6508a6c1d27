"""How OpenAI answers POST /v1/responses: the response whole, and every event of its stream. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulators.openai_answers import usage
from tests.simulators.openai_models import encrypted, reasons
from tests.simulators.tool_model import Turn
from tests.simulators.vendor_server import Fault, Piece, Script

Body = Mapping[str, Any]


def response(body: Body, script: Script, turn: Turn, number: int) -> dict[str, Any]:
    """`script.stop`: why it is incomplete (max_output_tokens or content_filter), or ``failed``."""
    status = "failed" if script.stop == "failed" else "incomplete" if script.stop else "completed"
    used = usage([body["input"], body.get("instructions"), body.get("tools")], script, turn)
    reasoning = body.get("reasoning") or {}
    return {
        "id": f"resp_{number:024x}",
        "object": "response",
        "created_at": 1_760_000_000,
        "status": status,
        "background": False,
        "completed_at": 1_760_000_001,
        "error": {"code": "server_error", "message": "It failed."} if status == "failed" else None,
        "incomplete_details": {"reason": script.stop} if status == "incomplete" else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": items(body, script, turn, number),
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": "default",
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": body.get("text") or {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p", 1.0),
        "truncation": "disabled",
        "usage": {
            "input_tokens": used["prompt_tokens"],
            "input_tokens_details": {
                "cached_tokens": script.cache_read,
                "cache_write_tokens": script.cache_write,
            },
            "output_tokens": used["completion_tokens"],
            "output_tokens_details": {
                "reasoning_tokens": used["completion_tokens_details"]["reasoning_tokens"]
            },
            "total_tokens": used["total_tokens"],
        },
        "user": None,
    }


def items(body: Body, script: Script, turn: Turn, number: int) -> list[dict[str, Any]]:
    """The output. Reasoning shows as a summary where one is asked for; encrypted where that is."""
    made: list[dict[str, Any]] = []
    if script.reasoning and reasons(body["model"]):
        shown = (body.get("reasoning") or {}).get("summary")
        parts = [{"type": "summary_text", "text": script.reasoning}] if shown else []
        thought = {"id": f"rs_{number:020x}", "type": "reasoning", "summary": parts}
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            thought["encrypted_content"] = encrypted(script.reasoning)
        made.append(thought)
    if turn.text:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": turn.text}
        message = {"id": f"msg_{number:020x}", "type": "message", "status": "completed"}
        made.append(message | {"content": [part], "role": "assistant"})
    for i, call in enumerate(turn.calls):
        head = {"id": f"fc_{number:018x}{i:02x}", "type": "function_call", "status": "completed"}
        told = {"arguments": call.arguments, "call_id": f"call_Sim{number}x{i}", "name": call.name}
        made.append(head | told)
    return made


class Events:
    """Numbers the events of one stream."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, **said: Any) -> bytes:
        data = {"type": kind, "sequence_number": self._number, **said}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def events(body: Body, script: Script, turn: Turn, number: int) -> Iterator[Piece]:
    """Each event with the part that it belongs to."""
    whole, made = response(body, script, turn, number), Events()
    begun = whole | {"status": "in_progress", "completed_at": None, "output": [], "usage": None}
    begun["incomplete_details"] = None
    yield "opening", made.event("response.created", response=begun)
    yield "start", made.event("response.in_progress", response=begun)
    for index, item in enumerate(whole["output"]):
        match item["type"]:
            case "reasoning":
                empty = item | {"summary": []}
                if "encrypted_content" in item:
                    empty["encrypted_content"] = encrypted("not yet all of it")
            case "message":
                empty = item | {"status": "in_progress", "content": []}
            case _:
                empty = item | {"status": "in_progress", "arguments": ""}
        yield "opening", made.event("response.output_item.added", output_index=index, item=empty)
        yield from _grow(made, index, item, script.split)
        yield "closing", made.event("response.output_item.done", output_index=index, item=item)
    yield "end", made.event(f"response.{whole['status']}", response=whole)


def _grow(made: Events, index: int, item: dict[str, Any], split: int) -> Iterator[Piece]:
    where: dict[str, Any] = {"item_id": item["id"], "output_index": index}
    match item["type"]:
        case "reasoning":
            for k, part in enumerate(item["summary"]):
                at = where | {"summary_index": k}
                empty = part | {"text": ""}
                yield "opening", made.event("response.reasoning_summary_part.added", **at, part=empty)
                for piece in _pieces(part["text"], split):
                    said = made.event("response.reasoning_summary_text.delta", **at, delta=piece)
                    yield "reasoning", said
                text = part["text"]
                yield "closing", made.event("response.reasoning_summary_text.done", **at, text=text)
                yield "closing", made.event("response.reasoning_summary_part.done", **at, part=part)
        case "message":
            at, part = where | {"content_index": 0}, item["content"][0]
            empty = part | {"text": ""}
            yield "opening", made.event("response.content_part.added", **at, part=empty)
            for piece in _pieces(part["text"], split):
                more = {"delta": piece, "logprobs": [], "obfuscation": "aB3"}
                yield "text", made.event("response.output_text.delta", **at, **more)
            done = {"text": part["text"], "logprobs": []}
            yield "closing", made.event("response.output_text.done", **at, **done)
            yield "closing", made.event("response.content_part.done", **at, part=part)
        case _:
            kind = "response.function_call_arguments"
            for piece in _pieces(item["arguments"], split):
                yield "arguments", made.event(f"{kind}.delta", **where, delta=piece, obfuscation="aB3")
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield "closing", made.event(f"{kind}.done", **where, **done)


def error_event(fault: Fault) -> bytes:
    said = {"type": "error", "code": fault.code or "server_error", "message": fault.message, "param": None}
    return f"event: error\ndata: {json.dumps(said | {'sequence_number': 99})}\n\n".encode()


def failed_event(fault: Fault) -> bytes:
    """How a response ends that the model could not go on with."""
    error = {"code": fault.code or "server_error", "message": fault.message}
    response: dict[str, Any] = {"id": "resp_failed", "object": "response", "status": "failed", "error": error}
    response |= {"created_at": 1_760_000_000, "model": "gpt-5", "output": [], "usage": None, "tools": []}
    response |= {"parallel_tool_calls": True, "tool_choice": "auto", "incomplete_details": None}
    said = {"type": "response.failed", "sequence_number": 99, "response": response}
    return f"event: response.failed\ndata: {json.dumps(said)}\n\n".encode()


def chat_form(body: Body) -> dict[str, Any]:
    """The conversation as the model of these tests knows one (`tool_model.play`)."""
    items = body["input"]
    messages: list[dict[str, Any]] = []
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        match item.get("type", "message"):
            case "message":
                role = "system" if item["role"] == "developer" else item["role"]
                messages.append({"role": role, "content": _content(item["content"])})
            case "function_call":
                function = {"name": item["name"], "arguments": item["arguments"]}
                call = {"id": item["call_id"], "function": function}
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
            case "function_call_output":
                told = _content(item["output"])
                texts = told if isinstance(told, str) else [part for part in told if part["type"] == "text"]
                messages.append({"role": "tool", "tool_call_id": item["call_id"], "content": texts})
                if isinstance(told, list) and (seen := [p for p in told if p["type"] == "image_url"]):
                    messages.append({"role": "user", "content": seen})
            case _:
                pass
    tools = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    functions = [{"type": "function", "function": tool} for tool in tools]
    return {"messages": messages, "tools": functions, **_asked(body)}


def _asked(body: Body) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function":
        asked["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif choice in ("none", "required"):
        asked["tool_choice"] = choice
    form = (body.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        asked["response_format"] = {"type": "json_schema", "json_schema": form}
    elif form.get("type") == "json_object":
        asked["response_format"] = form
    return asked


def _content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    parts: list[dict[str, Any]] = []
    for part in content:
        if part["type"] == "input_image":
            parts.append({"type": "image_url", "image_url": {"url": part["image_url"]}})
        elif "text" in part:
            parts.append({"type": "text", "text": part["text"]})
    return parts


def _pieces(text: str, size: int) -> Iterator[str]:
    for at in range(0, len(text), size):
        yield text[at : at + size]
