"""What the simulated Vertex AI answers: one turn, told by Gemini or as Anthropic does, whole or in events. Pure."""

from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a model says. `finish` is Gemini's word; `cached` of the prompt's tokens were read before."""

    text: str = "Quack from Vertex."
    thought: str = ""
    calls: tuple[tuple[str, Fields], ...] = ()
    finish: str = "STOP"
    signature: str = "c2lnbmVkIGJ5IGdlbWluaQ=="
    prompt: int = 11
    wrote: int = 5
    thought_tokens: int = 3
    cached: int = 4


CALL = Turn(text="", thought="I need a tool.", calls=(("get_weather", {"city": "Köln", "days": 2}),))
BLOCKED = Turn(finish="BLOCKED")


def gemini_whole(turn: Turn, model: str) -> Fields:
    if turn.finish == "BLOCKED":
        return {
            "promptFeedback": {"blockReason": "SAFETY"},
            "usageMetadata": {"promptTokenCount": turn.prompt},
        }
    candidate = {"content": {"role": "model", "parts": _parts(turn)}, "finishReason": turn.finish}
    return {
        "candidates": [candidate],
        "usageMetadata": _usage(turn),
        "modelVersion": model,
        "responseId": "r1",
    }


def gemini_chunks(turn: Turn, model: str) -> list[Fields]:
    """Every part in a chunk of its own, texts in two; the first ones count nothing."""
    if turn.finish == "BLOCKED":
        return [gemini_whole(turn, model)]
    base = {"modelVersion": model, "responseId": "r1", "usageMetadata": {"trafficType": "ON_DEMAND"}}
    pieces: list[Fields] = []
    for part in _parts(turn):
        text = part.get("text", "")
        halves = (text[: len(text) // 2], text[len(text) // 2 :]) if len(text) > 1 else (text,)
        pieces += [part | {"text": half} for half in halves] if text else [part]
    chunks = [base | {"candidates": [{"content": {"role": "model", "parts": [piece]}}]} for piece in pieces]
    last = {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": turn.finish}
    return [*chunks, base | {"candidates": [last], "usageMetadata": _usage(turn)}]


def _parts(turn: Turn) -> list[Fields]:
    """The first call is signed; without calls the last part is."""
    parts: list[Fields] = [{"text": turn.thought, "thought": True}] if turn.thought else []
    parts += [{"text": turn.text}] if turn.text else []
    first = len(parts)
    parts += [{"functionCall": {"name": name, "args": args}} for name, args in turn.calls]
    if parts and turn.signature:
        place = first if turn.calls else -1
        parts[place] = parts[place] | {"thoughtSignature": turn.signature}
    return parts


def _usage(turn: Turn) -> Fields:
    total = turn.prompt + turn.wrote + turn.thought_tokens
    counts = {"promptTokenCount": turn.prompt, "candidatesTokenCount": turn.wrote, "totalTokenCount": total}
    return counts | {"thoughtsTokenCount": turn.thought_tokens, "cachedContentTokenCount": turn.cached}


_STOPS = {"MAX_TOKENS": "max_tokens", "SAFETY": "refusal"}


def claude_whole(turn: Turn, model: str) -> Fields:
    content: list[Fields] = []
    if turn.thought:
        content.append({"type": "thinking", "thinking": turn.thought, "signature": turn.signature})
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    for number, (name, args) in enumerate(turn.calls):
        content.append({"type": "tool_use", "id": f"toolu_vrtx_{number}", "name": name, "input": args})
    reason = "tool_use" if turn.calls else _STOPS.get(turn.finish, "end_turn")
    head = {"id": "msg_vrtx_01", "type": "message", "role": "assistant", "model": model.partition("@")[0]}
    usage = {
        "input_tokens": turn.prompt - turn.cached,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": turn.cached,
        "output_tokens": turn.wrote,
    }
    return head | {"content": content, "stop_reason": reason, "stop_sequence": None, "usage": usage}


@dataclass(slots=True)
class _Block:
    start: Fields
    deltas: list[Fields] = field(default_factory=list[Fields])


def claude_events(turn: Turn, model: str, dumps: Any) -> list[Fields]:
    """`dumps` writes the input of a tool as JSON."""
    whole = claude_whole(turn, model)
    opened = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 1}}
    events: list[Fields] = [{"type": "message_start", "message": opened}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        told = _block(block, dumps)
        events.append({"type": "content_block_start", "index": index, "content_block": told.start})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in told.deltas]
        events.append({"type": "content_block_stop", "index": index})
    change = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    counts = {"output_tokens": whole["usage"]["output_tokens"]}
    return [*events, {"type": "message_delta", "delta": change, "usage": counts}, {"type": "message_stop"}]


def _block(block: Fields, dumps: Any) -> _Block:
    match block["type"]:
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
            return _Block({"type": "thinking", "thinking": "", "signature": ""}, deltas)
        case "text":
            deltas = [{"type": "text_delta", "text": block["text"]}]
            return _Block({"type": "text", "text": ""}, deltas)
        case _:
            deltas = [{"type": "input_json_delta", "partial_json": dumps(block["input"])}]
            return _Block(block | {"input": {}}, deltas)
