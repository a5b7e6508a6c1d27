"""How Anthropic answers: messages whole and streamed, counts, models, errors, headers. Pure."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulators.anthropic_rules import MODELS, signature
from tests.simulators.tool_model import Turn
from tests.simulators.vendor_server import Fault, Piece, Script

Body = Mapping[str, Any]
ORGANIZATION = "8c5ab1f0-3f2e-4f3c-9b9b-0a1b2c3d4e5f"
KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    529: "overloaded_error",
}


def headers(number: int) -> dict[str, str]:
    reset = "2026-11-22T00:01:00Z"
    limits = {"requests": (4000, 3999), "tokens": (2_400_000, 2_399_000)}
    limits |= {"input-tokens": (2_000_000, 1_999_000), "output-tokens": (400_000, 399_000)}
    told = {"request-id": request_id(number), "anthropic-organization-id": ORGANIZATION}
    for name, (limit, left) in limits.items():
        told[f"anthropic-ratelimit-{name}-limit"] = str(limit)
        told[f"anthropic-ratelimit-{name}-remaining"] = str(left)
        told[f"anthropic-ratelimit-{name}-reset"] = reset
    more = {"via": "1.1 google", "cf-cache-status": "DYNAMIC", "x-robots-tag": "none", "cf-ray": "9f0-FRA"}
    return told | more | {"strict-transport-security": "max-age=31536000; includeSubDomains; preload"}


def request_id(number: int) -> str:
    return f"req_011CSimulated{number:08d}"


def error(status: int, message: str, number: int | None = None, kind: str | None = None) -> bytes:
    said: dict[str, Any] = {
        "type": "error",
        "error": {"type": kind or KINDS.get(status, "api_error"), "message": message},
    }
    if number is not None:
        said["request_id"] = request_id(number)
    return json.dumps(said).encode()


def error_event(fault: Fault) -> bytes:
    status = fault.status if fault.status != 500 else 529
    return b"event: error\ndata: " + error(status, fault.message, kind=fault.kind_of) + b"\n\n"


def chat_form(body: Body) -> dict[str, Any]:
    """The conversation as the model of these tests knows one (`tool_model.play`)."""
    messages: list[dict[str, Any]] = []
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        calls, said = [], []
        for block in blocks:
            match block["type"]:
                case "text":
                    said.append({"type": "text", "text": block["text"]})
                case "image":
                    said.append(_picture(block))
                case "tool_use":
                    function = {"name": block["name"], "arguments": json.dumps(block["input"])}
                    calls.append({"id": block["id"], "function": function})
                case "tool_result":
                    messages += _result(block)
                case _:
                    pass
        if said or calls:
            more = {"tool_calls": calls} if calls else {}
            messages.append({"role": message["role"], "content": said, **more})
    tools = [_tool(tool) for tool in body.get("tools", ()) if "input_schema" in tool]
    return {"messages": messages, "tools": tools, **_choice(body.get("tool_choice") or {})}


def _result(block: Body) -> Iterator[dict[str, Any]]:
    content = block.get("content", "")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": text}
    if seen := [_picture(part) for part in parts if part["type"] == "image"]:
        yield {"role": "user", "content": seen}


def _picture(block: Body) -> dict[str, Any]:
    source = block["source"]
    url = source.get("url") or f"data:{source['media_type']};base64,{source['data']}"
    return {"type": "image_url", "image_url": {"url": url}}


def _tool(tool: Body) -> dict[str, Any]:
    return {"type": "function", "function": {"name": tool["name"], "parameters": tool["input_schema"]}}


def _choice(choice: Body) -> dict[str, Any]:
    match choice.get("type"):
        case "tool":
            return {"tool_choice": {"type": "function", "function": {"name": choice["name"]}}}
        case "any":
            return {"tool_choice": "required"}
        case "none":
            return {"tool_choice": "none"}
        case _:
            return {}


def tokens(body: Body) -> int:
    """Of a prompt: a word is one."""
    return len(json.dumps([body.get("system", ""), body.get("tools", []), body["messages"]]).split())


def usage(body: Body, script: Script, turn: Turn) -> dict[str, Any]:
    cached = script.cache_read + script.cache_write
    written = [script.reasoning, turn.text, *(call.arguments for call in turn.calls)]
    return {
        "input_tokens": max(tokens(body) - cached, 1),
        "cache_creation_input_tokens": script.cache_write,
        "cache_read_input_tokens": script.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": script.cache_write,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": max(sum(len(text.split()) for text in written), 1),
        "service_tier": "standard",
    }


def content(script: Script, turn: Turn, number: int) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if script.reasoning:
        proof = signature(script.reasoning)
        blocks.append({"type": "thinking", "thinking": script.reasoning, "signature": proof})
    if turn.text:
        blocks.append({"type": "text", "text": turn.text})
    for i, call in enumerate(turn.calls):
        given = json.loads(call.arguments)
        blocks.append(
            {"type": "tool_use", "id": f"toolu_01Sim{number}x{i}", "name": call.name, "input": given}
        )
    return blocks


def message(body: Body, script: Script, turn: Turn, number: int) -> dict[str, Any]:
    reason = script.stop or ("tool_use" if turn.calls else "end_turn")
    sequence = (body.get("stop_sequences") or [None])[0] if reason == "stop_sequence" else None
    return {
        "model": body["model"],
        "id": f"msg_01Simulated{number:08d}",
        "type": "message",
        "role": "assistant",
        "content": content(script, turn, number),
        "stop_reason": reason,
        "stop_sequence": sequence,
        "usage": usage(body, script, turn),
    }


def events(body: Body, script: Script, turn: Turn, number: int) -> Iterator[Piece]:
    """The events of a stream, each with the part that it belongs to."""
    whole = message(body, script, turn, number)
    begun = whole | {"content": [], "stop_reason": None, "stop_sequence": None}
    begun["usage"] = whole["usage"] | {"output_tokens": 1}
    yield "start", _event("message_start", message=begun)
    for _ in range(script.pings):
        yield "ping", _event("ping")
    for index, block in enumerate(whole["content"]):
        yield from _block(index, block, script.split)
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": whole["stop_sequence"]}
    counts = {n: c for n, c in whole["usage"].items() if n not in ("cache_creation", "service_tier")}
    yield "end", _event("message_delta", delta=delta, usage=counts)
    yield "end", _event("message_stop")


def _block(index: int, block: dict[str, Any], split: int) -> Iterator[Piece]:
    def delta(part: str, kind: str, **said: str) -> Piece:
        return part, _event("content_block_delta", index=index, delta={"type": kind, **said})

    match block["type"]:
        case "thinking":
            empty = block | {"thinking": "", "signature": ""}
            yield "opening", _event("content_block_start", index=index, content_block=empty)
            for piece in _pieces(block["thinking"], split):
                yield delta("reasoning", "thinking_delta", thinking=piece)
            yield delta("signature", "signature_delta", signature=block["signature"])
        case "text":
            yield "opening", _event("content_block_start", index=index, content_block=block | {"text": ""})
            for piece in _pieces(block["text"], split):
                yield delta("text", "text_delta", text=piece)
        case _:
            yield "opening", _event("content_block_start", index=index, content_block=block | {"input": {}})
            yield delta("opening", "input_json_delta", partial_json="")
            for piece in _pieces(json.dumps(block["input"]), split):
                yield delta("arguments", "input_json_delta", partial_json=piece)
    yield "closing", _event("content_block_stop", index=index)


def _event(kind: str, **said: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **said})}\n\n".encode()


def _pieces(text: str, size: int) -> Iterator[str]:
    for at in range(0, len(text), size):
        yield text[at : at + size]


def model(name: str) -> dict[str, Any]:
    """As /v1/models shows it."""
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200_000,
        "max_tokens": MODELS[name],
    }
