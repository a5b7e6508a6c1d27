"""Ollama's API as a surface: what /api/chat and /api/generate answer, a JSON object a line. Pure.

Every line carries the time the answer began, in whole seconds. Counts and durations are the engine's: without its usage
the prompt is an estimate and the answer 0, durations it does not tell are 0, and the total is the sum of those it does;
time to load is none of a request's here. A tool call is sent whole, in one line, once its arguments are complete.
"""

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Usage
from controlplane.protocols.ir import (
    Answer,
    Counted,
    Delta,
    Encoder,
    Failure,
    Meta,
    Progress,
    Reasoning,
    Request,
    Stop,
    Text,
    ToolArgs,
    ToolCall,
    ToolStart,
)
from controlplane.protocols.ollama_request import idle_reason, read_chat, read_generate
from controlplane.protocols.openai_error import told
from flockpy.errors import FlockError

RAW: Final = "_raw"
"""The one argument of a tool call whose arguments are no JSON object: the text as the model wrote it."""

_ARGUMENTS: Final = msgspec.json.Decoder[dict[str, Any] | str | None](dict[str, Any] | str | None)
_ENCODE: Final = msgspec.json.Encoder().encode
_REASONS: Final = {"tool_calls": "stop", "stop_sequence": "stop"}
"""Ollama's word for how an answer ended, where it is not ours."""
_BREAKS: Final = re.compile(rb"\xe2\x80[\xa8\xa9]|\xc2\x85")
_ESCAPED: Final = {b"\xe2\x80\xa8": rb"\u2028", b"\xe2\x80\xa9": rb"\u2029", b"\xc2\x85": rb"\u0085"}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What stands around a text and around a thought in a line; `tools`: whether calls can be given back at all."""

    text: tuple[bytes, bytes]
    thought: tuple[bytes, bytes]
    tools: bool


_CHAT: Final = _Shape(
    (b',"message":{"role":"assistant","content":', b'},"done":false}\n'),
    (b',"message":{"role":"assistant","content":"","thinking":', b'},"done":false}\n'),
    tools=True,
)
_GENERATE: Final = _Shape(
    (b',"response":', b',"done":false}\n'), (b',"response":"","thinking":', b',"done":false}\n'), tools=False
)


class OllamaSurface:
    """What both routes share."""

    stream_type: bytes = b"application/x-ndjson"
    _shape: _Shape

    def encoder(self, request: Request, meta: Meta) -> Encoder:
        return _Encoder(self._shape, meta)

    def render(self, request: Request, answer: Answer, meta: Meta) -> bytes:
        calls = answer.calls if self._shape.tools else ()
        said = _said(self._shape, answer.text, answer.reasoning, calls, meta)
        return _line({**_head(meta), **said, **_ending(answer.stop, answer.usage, meta)})

    def idle(self, body: bytes, meta: Meta) -> bytes:
        """The answer, streamed or not, to a request without messages: it only wants its model loaded, or unloaded."""
        said = _said(self._shape, "", "", (), meta)
        return _line({**_head(meta), **said, "done": True, "done_reason": idle_reason(body)}) + b"\n"

    def status(self, error: FlockError) -> int:
        return error.status

    def error(self, error: FlockError) -> bytes:
        return _told(error)

    def stream_error(self, error: FlockError) -> bytes:
        return _told(error) + b"\n"


class OllamaChatSurface(OllamaSurface):
    """POST /api/chat."""

    _shape = _CHAT

    def request(self, body: bytes) -> Request:
        return read_chat(body)


class OllamaGenerateSurface(OllamaSurface):
    """POST /api/generate."""

    _shape = _GENERATE

    def request(self, body: bytes) -> Request:
        return read_generate(body)


class _Encoder:
    def __init__(self, shape: _Shape, meta: Meta) -> None:
        head = _line(_head(meta))[:-1]
        self._shape = shape
        self._meta = meta
        self._head = head
        self._text = head + shape.text[0]
        self._thought = head + shape.thought[0]
        self._starts: dict[int, ToolStart] = {}
        self._arguments: dict[int, list[str]] = {}
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._failed = False

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        lines: list[bytes] = []
        for delta in deltas:
            match delta:
                case Text(text):
                    lines += (self._text, _one_line(_ENCODE(text)), self._shape.text[1])
                case Reasoning(text):
                    if text:
                        lines += (self._thought, _one_line(_ENCODE(text)), self._shape.thought[1])
                case ToolStart():
                    self._starts[delta.index] = delta
                case ToolArgs():
                    self._arguments.setdefault(delta.index, []).append(delta.text)
                case Stop():
                    self._stop = delta
                    lines.append(self._calls())
                case Counted():
                    self._usage = delta.usage
                case Failure():
                    self._failed = True
                    lines.append(_told(delta.error) + b"\n")
                case Progress():
                    pass
        return b"".join(lines)

    def keep_alive(self, silent_s: float) -> bytes:
        return self._text + b'""' + self._shape.text[1]

    def end(self) -> bytes:
        if self._failed:
            return b""
        said = _said(self._shape, "", "", (), self._meta)
        ending = _ending(self._stop, self._usage, self._meta)
        return self._calls() + _line({**_head(self._meta), **said, **ending}) + b"\n"

    def _calls(self) -> bytes:
        """A line with every call so far; b"" without one."""
        calls = tuple(
            ToolCall(start.id, start.name, "".join(self._arguments.get(index, ())))
            for index, start in sorted(self._starts.items())
        )
        self._starts.clear()
        if not calls or not self._shape.tools:
            return b""
        said = _said(self._shape, "", "", calls, self._meta)
        return _line({**_head(self._meta), **said, "done": False}) + b"\n"


def _head(meta: Meta) -> dict[str, Any]:
    time = datetime.datetime.fromtimestamp(meta.created, datetime.UTC)
    return {"model": meta.model, "created_at": rfc3339(time)}


def rfc3339(time: datetime.datetime) -> str:
    """A time of UTC as Ollama writes it, with nanoseconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def _said(shape: _Shape, text: str, thought: str, calls: tuple[ToolCall, ...], meta: Meta) -> dict[str, Any]:
    thinking = {"thinking": thought} if thought else {}
    if not shape.tools:
        return {"response": text, **thinking}
    message: dict[str, Any] = {"role": "assistant", "content": text, **thinking}
    if calls:
        message["tool_calls"] = [
            {
                "id": call.id or f"call_{meta.id}_{index}",
                "function": {"index": index, "name": call.name, "arguments": _object(call.arguments)},
            }
            for index, call in enumerate(calls)
        ]
    return {"message": message}


def _object(arguments: str) -> dict[str, Any]:
    """A call's arguments as the object Ollama's clients insist on. Some models put the JSON into a JSON string."""
    try:
        value = _ARGUMENTS.decode(arguments.strip() or "{}")
        if isinstance(value, str):
            value = _ARGUMENTS.decode(value)
    except UNREADABLE:
        value = ""
    return {RAW: arguments} if isinstance(value, str) else value or {}


def _ending(stop: Stop | None, usage: Usage | None, meta: Meta) -> dict[str, Any]:
    reason = stop.reason if stop is not None else "stop"
    known = usage or Usage(meta.prompt_tokens, 0)
    return {
        "done": True,
        "done_reason": _REASONS.get(reason, reason),
        "total_duration": _ns(known.prompt_ms) + _ns(known.completion_ms),
        "load_duration": 0,
        "prompt_eval_count": known.prompt_tokens,
        "prompt_eval_duration": _ns(known.prompt_ms),
        "eval_count": known.completion_tokens,
        "eval_duration": _ns(known.completion_ms),
    }


def _ns(ms: float) -> int:
    return round(ms * 1_000_000)


def _told(error: FlockError) -> bytes:
    return _line({"error": told(error)})


def _line(value: dict[str, Any]) -> bytes:
    return _one_line(_ENCODE(value))


def _one_line(data: bytes) -> bytes:
    """Without the characters, whole in JSON, that Python's clients take for the end of a line."""
    if b"\xe2\x80" in data or b"\xc2\x85" in data:
        return _BREAKS.sub(lambda found: _ESCAPED[found[0]], data)
    return data
