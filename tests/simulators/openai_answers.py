"""How OpenAI answers: chats and completions whole and streamed, embeddings, models, errors, headers. Pure."""

import base64
import hashlib
import json
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from tests.simulators.openai_models import MODELS, reasons
from tests.simulators.openai_rules import Refusal
from tests.simulators.tool_model import Call, Turn
from tests.simulators.vendor_server import Fault, Piece, Script

Body = Mapping[str, Any]
KINDS = {401: "invalid_request_error", 429: "requests", 500: "server_error", 503: "service_unavailable_error"}


def headers(number: int) -> dict[str, str]:
    limits = {
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-remaining-tokens": "1999000",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": "30ms",
    }
    return {
        "x-request-id": f"req_simulated{number:08d}",
        "openai-organization": "org-simulated",
        "openai-processing-ms": "42",
        "openai-project": "proj_simulated",
        "openai-version": "2020-10-01",
        "x-openai-proxy-wasm": "v0.1",
        "x-content-type-options": "nosniff",
        "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
        "cf-cache-status": "DYNAMIC",
        "cf-ray": "9f0-FRA",
        **limits,
    }


def error(message: str, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    said = {"message": message, "type": kind, "param": param, "code": code}
    return json.dumps({"error": said}, indent=2).encode()


def refusal(refused: Refusal) -> bytes:
    return error(refused.message, "invalid_request_error", refused.param, refused.code)


def failed(fault: Fault) -> bytes:
    return error(fault.message, fault.kind_of or KINDS.get(fault.status, "server_error"), None, fault.code)


def usage(asked: object, script: Script, turn: Turn) -> dict[str, Any]:
    """As chats count; a word is a token."""
    prompt = len(json.dumps(asked).split())
    reasoning = len(script.reasoning.split())
    said = [turn.text, *(call.arguments for call in turn.calls)]
    completion = max(sum(len(text.split()) for text in said), 1) + reasoning
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": script.cache_read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chat(body: Body, script: Script, turn: Turn, number: int) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": turn.text or None, "refusal": None}
    if turn.calls:
        said["tool_calls"] = [_call(call, i, number) for i, call in enumerate(turn.calls)]
    else:
        said["annotations"] = []
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": _reason(script, turn)}
    return _envelope("chat.completion", "chatcmpl", body, number) | {
        "choices": [choice],
        "usage": usage(body["messages"], _seen(body, script), turn),
        "service_tier": "default",
        "system_fingerprint": None,
    }


def chat_events(body: Body, script: Script, turn: Turn, number: int) -> Iterator[Piece]:
    counts = bool((body.get("stream_options") or {}).get("include_usage"))

    def chunk(delta: Body, reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _chunk(_envelope("chat.completion.chunk", "chatcmpl", body, number), [choice], counts)

    yield "start", chunk({"role": "assistant", "content": "" if turn.text else None, "refusal": None})
    for piece in _pieces(turn.text, script.split):
        yield "text", chunk({"content": piece})
    for i, call in enumerate(turn.calls):
        begun = _call(call, i, number)
        begun["function"]["arguments"] = ""
        yield "opening", chunk({"tool_calls": [{"index": i, **begun}]})
        for piece in _pieces(call.arguments, script.split):
            yield "arguments", chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
    yield "end", chunk({}, _reason(script, turn))
    if counts:
        used = usage(body["messages"], _seen(body, script), turn)
        yield "end", _chunk(_envelope("chat.completion.chunk", "chatcmpl", body, number), [], False, used)
    yield "end", b"data: [DONE]\n\n"


def completion(body: Body, script: Script, turn: Turn, number: int) -> dict[str, Any]:
    choice = {"text": turn.text, "index": 0, "logprobs": None, "finish_reason": script.stop or "stop"}
    used = usage(body["prompt"], script, turn)
    del used["completion_tokens_details"]
    return _envelope("text_completion", "cmpl", body, number) | {"choices": [choice], "usage": used}


def completion_events(body: Body, script: Script, turn: Turn, number: int) -> Iterator[Piece]:
    whole = completion(body, script, turn, number)
    counts = bool((body.get("stream_options") or {}).get("include_usage"))
    head = _envelope("text_completion", "cmpl", body, number)
    for piece in _pieces(turn.text, script.split):
        yield "text", _chunk(head, [whole["choices"][0] | {"text": piece, "finish_reason": None}], counts)
    yield "end", _chunk(head, [whole["choices"][0] | {"text": ""}], counts)
    if counts:
        yield "end", _chunk(head, [], False, whole["usage"])
    yield "end", b"data: [DONE]\n\n"


def embeddings(body: Body) -> dict[str, Any]:
    """The same text is always the same vector."""
    given = body["input"]
    texts = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    size = body.get("dimensions") or 4
    data: list[dict[str, Any]] = []
    for index, text in enumerate(texts):
        digest = hashlib.sha256(json.dumps(text).encode()).digest()
        vector = [(digest[k % 32] - 128) / 256 for k in range(size)]
        packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        shown = packed if body.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": shown})
    count = len(json.dumps(given).split())
    used = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": body["model"], "usage": used}


def model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_760_000_000, "owned_by": "system"}


def models() -> dict[str, Any]:
    return {"object": "list", "data": [model(name) for name in MODELS]}


def _seen(body: Body, script: Script) -> Script:
    """Only models that reason have anything to count for it; a chat does not show it."""
    return script if reasons(body["model"]) else Script(cache_read=script.cache_read)


def _reason(script: Script, turn: Turn) -> str:
    return script.stop or ("tool_calls" if turn.calls else "stop")


def _call(call: Call, index: int, number: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_Sim{number}x{index}", "type": "function", "function": function}


def _envelope(kind: str, prefix: str, body: Body, number: int) -> dict[str, Any]:
    head = {"id": f"{prefix}-Simulated{number}", "object": kind, "created": 1_760_000_000}
    return {**head, "model": body["model"]}


def _chunk(head: Body, choices: list[Any], counts: bool, used: Any = None) -> bytes:
    said = {**head, "service_tier": "default", "system_fingerprint": None, "choices": choices}
    if counts or used:
        said["usage"] = used
    return b"data: " + json.dumps(said | {"obfuscation": "aB3"}).encode() + b"\n\n"


def _pieces(text: str, size: int) -> Iterator[str]:
    for at in range(0, len(text), size):
        yield text[at : at + size]
