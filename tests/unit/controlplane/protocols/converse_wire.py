"""Deltas as Bedrock's Converse would answer them, streamed (its framing taken off) and whole."""

import json
from collections.abc import Iterable
from typing import Any

from controlplane.protocols.ir import Counted, Delta, Reasoning, Stop, Text, ToolArgs, ToolStart, fold

REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "stop_sequence": "stop_sequence",
}


def sse(*events: tuple[str, Any]) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps({name: said}).encode() for name, said in events)


def converse_sse(deltas: Iterable[Delta]) -> bytes:
    """A block for each call, and one for each other delta."""
    events: list[tuple[str, Any]] = [("messageStart", {"role": "assistant", "p": "abc"})]
    calls: dict[int, int] = {}
    for index, delta in enumerate(deltas):
        at = {"contentBlockIndex": index}
        match delta:
            case Text(text):
                events.append(("contentBlockDelta", {"delta": {"text": text}, **at}))
            case Reasoning(text, signature):
                said = {"signature": signature} if signature else {"text": text}
                events.append(("contentBlockDelta", {"delta": {"reasoningContent": said}, **at}))
            case ToolStart(call, id, name):
                calls[call] = index
                start = {"toolUse": {"toolUseId": id, "name": name}}
                events.append(("contentBlockStart", {"start": start, **at}))
            case ToolArgs(call, text):
                at = {"contentBlockIndex": calls[call]}
                events.append(("contentBlockDelta", {"delta": {"toolUse": {"input": text}}, **at}))
            case Stop():
                events += [("contentBlockStop", {"contentBlockIndex": index}) for index in calls.values()]
                events.append(("messageStop", stopped(delta)))
            case Counted():
                events.append(("metadata", {"usage": counted(delta), "metrics": {"latencyMs": 1}}))
            case _:
                raise AssertionError(delta)
    return sse(*events)


def converse_whole(deltas: Iterable[Delta]) -> bytes:
    answer = fold(deltas)
    assert answer.stop
    assert answer.usage
    content: list[dict[str, Any]] = []
    if answer.reasoning or answer.signature:
        said = {"text": answer.reasoning, "signature": answer.signature}
        content.append({"reasoningContent": {"reasoningText": said}})
    if answer.text:
        content.append({"text": answer.text})
    for call in answer.calls:
        given = json.loads(call.arguments or "{}")
        content.append({"toolUse": {"toolUseId": call.id, "name": call.name, "input": given}})
    said = {"output": {"message": {"role": "assistant", "content": content}}, **stopped(answer.stop)}
    return json.dumps(said | {"usage": counted(Counted(answer.usage)), "metrics": {"latencyMs": 1}}).encode()


def stopped(stop: Stop) -> dict[str, Any]:
    more = {"additionalModelResponseFields": {"stop_sequence": stop.sequence}} if stop.sequence else {}
    return {"stopReason": REASONS[stop.reason], **more}


def counted(delta: Counted) -> dict[str, int]:
    usage = delta.usage
    written = usage.cache_written_tokens
    return {
        "inputTokens": usage.prompt_tokens - usage.cached_tokens - written,
        "cacheWriteInputTokens": written,
        "cacheReadInputTokens": usage.cached_tokens,
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.prompt_tokens + usage.completion_tokens,
    }
