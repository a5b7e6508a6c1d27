"""The bodies with which the strict engine answers a chat request: whole, or as chunks. Pure."""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from tests.simulators.tool_model import Call, Turn, text_of

Fields = Mapping[str, Any]


def whole(body: Fields, turn: Turn, reasoning: str, number: int) -> dict[str, Any]:
    """A whole answer to `body`, the engine's request `number`."""
    message: dict[str, Any] = {"role": "assistant", "content": turn.text or None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if turn.calls:
        message["tool_calls"] = [_call(call, i, number) for i, call in enumerate(turn.calls)]
    choice = {"index": 0, "message": message, "finish_reason": _reason(turn), "logprobs": None}
    return _envelope("chat.completion", body, number, [choice]) | {"usage": usage(body, turn, reasoning)}


def chunks(body: Fields, turn: Turn, reasoning: str, number: int, split: int) -> Iterator[dict[str, Any]]:
    """The same as a stream's chunks; texts and arguments in pieces of `split` characters, calls one by one."""

    def chunk(delta: Fields, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return _envelope("chat.completion.chunk", body, number, [choice])

    yield chunk({"role": "assistant", "content": None})
    for name, text in (("reasoning_content", reasoning), ("content", turn.text)):
        for piece in _pieces(text, split):
            yield chunk({name: piece})
    for i, call in enumerate(turn.calls):
        start = _call(call, i, number)
        start["function"]["arguments"] = ""
        yield chunk({"tool_calls": [{"index": i, **start}]})
        for piece in _pieces(call.arguments, split):
            yield chunk({"tool_calls": [{"index": i, "function": {"arguments": piece}}]})
    yield chunk({}, _reason(turn))
    if (body.get("stream_options") or {}).get("include_usage"):
        last = _envelope("chat.completion.chunk", body, number, [])
        yield last | {"usage": usage(body, turn, reasoning)}


def without(chunk: Fields, omitted: Set[str]) -> dict[str, Any]:
    """The chunk of an engine that leaves out `finish_reason`, `role`, `usage`, or `index`, `id`, `type` of a call."""
    kept = {name: value for name, value in chunk.items() if name != "usage" or name not in omitted}
    for choice in kept["choices"]:
        if "finish_reason" in omitted:
            choice["finish_reason"] = None
        delta = choice["delta"]
        for part in (delta, *delta.get("tool_calls", ())):
            for name in omitted & {"role", "index", "id", "type"}:
                part.pop(name, None)
    return kept


def usage(body: Fields, turn: Turn, reasoning: str) -> dict[str, Any]:
    """Words for tokens."""
    prompt = sum(len(text_of(message).split()) for message in body["messages"]) + 10 * len(
        body.get("tools", ())
    )
    said = [turn.text, reasoning, *(call.arguments for call in turn.calls)]
    completion = max(1, sum(len(text.split()) for text in said))
    details = {"prompt_tokens_details": {"cached_tokens": 0}}
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    } | details


def error(status: int, message: str, kind: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": status, "param": None}}


def _reason(turn: Turn) -> str:
    return "tool_calls" if turn.calls else "stop"


def _call(call: Call, index: int, number: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{number}_{index}", "type": "function", "function": function}


def _pieces(text: str, size: int) -> Iterator[str]:
    for at in range(0, len(text), size):
        yield text[at : at + size]


def _envelope(kind: str, body: Fields, number: int, choices: list[Any]) -> dict[str, Any]:
    head = {"id": f"chatcmpl-strict{number}", "object": kind, "created": 1}
    return {**head, "model": body["model"], "choices": choices}
