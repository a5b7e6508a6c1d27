"""Answers in chat/completions for clients, streamed and whole, from neutral deltas. Pure.

A stream: one chunk that names the role, a chunk for each delta, one with the reason it ended, the usage if that was
asked for, the end mark. Runs for each chunk of an answer: the parts that never change are encoded once.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from controlplane.protocols.base import Usage
from controlplane.protocols.ir import (
    Answer,
    Counted,
    Delta,
    Failure,
    Meta,
    Progress,
    Reasoning,
    Stop,
    StopReason,
    Text,
    ToolArgs,
    ToolCall,
    ToolStart,
)
from controlplane.protocols.openai_error import error_body

_encode = msgspec.json.encode
_REASONS: Final[dict[StopReason, str]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "stop_sequence": "stop",
}


class ChatEncoder:
    """Writes one streamed answer (`ir.Encoder`). `include_usage`: the client asked for the usage chunk."""

    def __init__(self, meta: Meta, *, include_usage: bool) -> None:
        self._meta = meta
        self._head = b"data: " + _encode(_envelope(meta, "chat.completion.chunk"))[:-1]
        self._before = self._head + b',"choices":[{"index":0,"delta":'
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._began = False
        self._said = False
        self._ids: dict[int, str] = {}
        self._bare: set[int] = set()  # calls that have no arguments yet
        self._stopped = False
        self._failed = False

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        out: list[bytes] = []
        for delta in deltas:
            match delta:
                case Text():
                    self._said = True
                    out.append(self._delta(b'{"content":' + _encode(delta.text) + b"}"))
                case Reasoning():
                    if delta.text:
                        out.append(self._delta(b'{"reasoning_content":' + _encode(delta.text) + b"}"))
                case ToolArgs():
                    if delta.text:
                        self._bare.discard(delta.index)
                        out.append(self._arguments(delta.index, delta.text))
                case ToolStart():
                    out.append(self._begin(delta))
                case Stop():
                    out.append(self._stop(delta.reason))
                case Counted():
                    self._usage = delta.usage
                case Failure():
                    self._failed = True
                    out.append(b"data: " + error_body(delta.error) + b"\n\n")
                case Progress():
                    pass
        return b"".join(out)

    def keep_alive(self, silent_s: float) -> bytes:
        """A chunk with an empty delta: comments do not reset the timer of every client."""
        return self._chunk(b"{}")

    def end(self) -> bytes:
        """The reason if none came, usage and end mark; nothing after a failure, which is an end of its own."""
        if self._failed:
            return b""
        out = b"" if self._stopped else self._stop("tool_calls" if self._ids else "stop")
        if self._include_usage and self._usage is not None:
            out += self._head + b',"choices":[],"usage":' + _encode(_usage(self._usage)) + b"}\n\n"
        return out + b"data: [DONE]\n\n"

    def _chunk(self, delta: bytes, finish_reason: bytes = b"null") -> bytes:
        return self._before + delta + b',"finish_reason":' + finish_reason + b"}]}\n\n"

    def _delta(self, delta: bytes) -> bytes:
        return self._chunk(delta) if self._began else self._role() + self._chunk(delta)

    def _role(self) -> bytes:
        self._began = True
        return self._chunk(b'{"role":"assistant","content":null}')

    def _begin(self, start: ToolStart) -> bytes:
        call_id = self._ids[start.index] = _call_id(start.id, start.index, self._meta, self._ids.values())
        self._bare.add(start.index)
        function = {"name": start.name, "arguments": ""}
        call = {"index": start.index, "id": call_id, "type": "function", "function": function}
        return self._delta(_encode({"tool_calls": [call]}))

    def _arguments(self, index: int, text: str) -> bytes:
        call = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % index
        return self._chunk(call + _encode(text) + b"}}]}")

    def _stop(self, reason: StopReason) -> bytes:
        """Clients read the arguments of every call as JSON, and a message of nothing as text."""
        self._stopped = True
        mended = b"".join(self._arguments(index, "{}") for index in sorted(self._bare))
        said = b"{}" if self._said or self._ids else b'{"content":""}'
        opening = b"" if self._began else self._role()
        return opening + mended + self._chunk(said, _encode(_REASONS[reason]))


def render(answer: Answer, meta: Meta) -> bytes:
    """The body of a whole answer: what the same deltas amount to when they are streamed."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if answer.calls else "")}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = _calls(answer.calls, meta)
    reason = answer.stop.reason if answer.stop else ("tool_calls" if answer.calls else "stop")
    choice = {"index": 0, "message": message, "finish_reason": _REASONS[reason], "logprobs": None}
    body = _envelope(meta, "chat.completion") | {"choices": [choice]}
    return _encode(body | ({"usage": _usage(answer.usage)} if answer.usage else {}))


def _envelope(meta: Meta, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{meta.id}", "object": kind, "created": meta.created, "model": meta.model}


def _calls(calls: Iterable[ToolCall], meta: Meta) -> list[dict[str, Any]]:
    ids: list[str] = []
    made: list[dict[str, Any]] = []
    for index, call in enumerate(calls):
        ids.append(_call_id(call.id, index, meta, set(ids)))
        function = {"name": call.name, "arguments": call.arguments or "{}"}
        made.append({"id": ids[-1], "type": "function", "function": function})
    return made


def _call_id(given: str, index: int, meta: Meta, taken: Iterable[str]) -> str:
    """An engine's id, or one of ours where it has none or has it twice."""
    return given if given and given not in taken else f"call_{meta.id}_{index}"


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
