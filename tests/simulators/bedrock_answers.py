"""How a simulated model of Bedrock answers: a call for the first tool it is offered, then a word on what came of it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.simulators.aws_wire import event

USAGE = {
    "inputTokens": 11,
    "outputTokens": 7,
    "totalTokens": 25,
    "cacheReadInputTokens": 5,
    "cacheWriteInputTokens": 2,
}
_NATIVE = {
    "input_tokens": 11,
    "cache_creation_input_tokens": 2,
    "cache_read_input_tokens": 5,
    "output_tokens": 7,
}


@dataclass(frozen=True, slots=True)
class Turn:
    """What is said: thoughts, text, then perhaps a call with these arguments."""

    text: str
    thought: str = ""
    tool: str = ""
    arguments: str = "{}"

    @property
    def blocks(self) -> list[tuple[str, str]]:
        """The kind and the text of each block."""
        said = (("thought", self.thought), ("text", self.text), ("tool", self.arguments if self.tool else ""))
        return [(kind, text) for kind, text in said if text]


def play(tools: list[str], result: str | None, said: str, thought: str) -> Turn:
    """`result`: what the last call led to; `said`: the user's last text."""
    if tools and result is None:
        return Turn("Let me look. 🔎", thought, tools[0], '{"city": "Zürich", "days": 2}')
    if result is not None:
        return Turn(f"The tool said: {result}")
    return Turn(f"Quack from Bedrock: {said}", thought)


def heard_converse(body: dict[str, Any]) -> tuple[list[str], str | None, str]:
    """The tools, the last result and the last text of a Converse body."""
    last = body["messages"][-1]["content"]
    tools = [tool["toolSpec"]["name"] for tool in body.get("toolConfig", {}).get("tools", ())]
    results = [block["toolResult"]["content"] for block in last if "toolResult" in block]
    texts = [block["text"] for block in last if "text" in block]
    return tools, (results[-1][0].get("text", "") if results else None), (texts or [""])[-1]


def heard_messages(body: dict[str, Any]) -> tuple[list[str], str | None, str]:
    """The same of a Messages body."""
    last = body["messages"][-1]["content"]
    blocks = last if isinstance(last, list) else [{"type": "text", "text": last}]
    results = [block["content"] for block in blocks if block["type"] == "tool_result"]
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    result = None
    if results:
        result = results[-1] if isinstance(results[-1], str) else results[-1][0].get("text", "")
    return [tool["name"] for tool in body.get("tools", ())], result, (texts or [""])[-1]


def pieces(text: str, size: int = 7) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def converse(turn: Turn) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for kind, text in turn.blocks:
        if kind == "thought":
            content.append({"reasoningContent": {"reasoningText": {"text": text, "signature": "c2ln"}}})
        elif kind == "text":
            content.append({"text": text})
        else:
            call = {"toolUseId": "tooluse_1", "name": turn.tool, "input": json.loads(text)}
            content.append({"toolUse": call})
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if turn.tool else "end_turn",
        "usage": USAGE,
        "metrics": {"latencyMs": 12},
    }


def converse_stream(turn: Turn) -> Iterator[bytes]:
    padded = {"p": "abcdefghijklm"}
    yield event("messageStart", {"role": "assistant", **padded})
    for index, (kind, text) in enumerate(turn.blocks):
        at = {"contentBlockIndex": index, **padded}
        if kind == "tool":
            start = {"toolUse": {"toolUseId": "tooluse_1", "name": turn.tool}}
            yield event("contentBlockStart", {"start": start, **at})
        for piece in pieces(text):
            delta: dict[str, Any] = {"text": piece}
            if kind == "thought":
                delta = {"reasoningContent": delta}
            elif kind == "tool":
                delta = {"toolUse": {"input": piece}}
            yield event("contentBlockDelta", {"delta": delta, **at})
        if kind == "thought":
            yield event("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "c2ln"}}, **at})
        yield event("contentBlockStop", at)
    yield event("messageStop", {"stopReason": "tool_use" if turn.tool else "end_turn", **padded})
    yield event("metadata", {"usage": USAGE, "metrics": {"latencyMs": 12}, **padded})


def _block(turn: Turn, kind: str, text: str) -> dict[str, Any]:
    if kind == "thought":
        return {"type": "thinking", "thinking": text, "signature": "c2ln" if text else ""}
    if kind == "text":
        return {"type": "text", "text": text}
    return {"type": "tool_use", "id": "toolu_bdrk_1", "name": turn.tool, "input": json.loads(text or "{}")}


def _head(model: str) -> dict[str, Any]:
    return {
        "id": "msg_bdrk_1",
        "type": "message",
        "role": "assistant",
        "model": model.partition("anthropic.")[2],
    }


def messages(turn: Turn, model: str) -> dict[str, Any]:
    stop = {"stop_reason": "tool_use" if turn.tool else "end_turn", "stop_sequence": None}
    content = [_block(turn, kind, text) for kind, text in turn.blocks]
    return {**_head(model), "content": content, **stop, "usage": _NATIVE}


def messages_stream(turn: Turn, model: str) -> Iterator[bytes]:
    stop: dict[str, Any] = {"stop_reason": None, "stop_sequence": None}
    begun = {**_head(model), "content": [], **stop, "usage": {**_NATIVE, "output_tokens": 1}}
    yield _chunk({"type": "message_start", "message": begun})
    names = {"thought": ("thinking_delta", "thinking"), "text": ("text_delta", "text")}
    for index, (kind, text) in enumerate(turn.blocks):
        yield _chunk({"type": "content_block_start", "index": index, "content_block": _block(turn, kind, "")})
        name, field = names.get(kind, ("input_json_delta", "partial_json"))
        for piece in pieces(text):
            yield _chunk(
                {"type": "content_block_delta", "index": index, "delta": {"type": name, field: piece}}
            )
        if kind == "thought":
            delta = {"type": "signature_delta", "signature": "c2ln"}
            yield _chunk({"type": "content_block_delta", "index": index, "delta": delta})
        yield _chunk({"type": "content_block_stop", "index": index})
    stop["stop_reason"] = "tool_use" if turn.tool else "end_turn"
    yield _chunk({"type": "message_delta", "delta": stop, "usage": {"output_tokens": 7}})
    metrics = {"inputTokenCount": 11, "outputTokenCount": 7, "invocationLatency": 12, "firstByteLatency": 3}
    yield _chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})


def _chunk(said: dict[str, Any]) -> bytes:
    data = base64.b64encode(json.dumps(said, ensure_ascii=False).encode()).decode()
    return event("chunk", {"bytes": data, "p": "abcdefghijklmnop"})
