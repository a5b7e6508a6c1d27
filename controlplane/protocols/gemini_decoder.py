"""Answers of Gemini's generateContent, whole or streamed as server-sent events (``alt=sse``). Pure."""

from collections.abc import Iterator
from typing import Final

import msgspec

from controlplane.protocols.base import Usage
from controlplane.protocols.event_decoder import EventDecoder, died
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Reasoning,
    Stop,
    StopReason,
    Text,
    ToolArgs,
    ToolStart,
)
from controlplane.protocols.signatures import GEMINI
from controlplane.protocols.sse import SseReader
from flockpy.errors import BadRequest, ContextTooLong, FlockError, Overloaded


class _Call(msgspec.Struct):
    name: str = ""
    id: str | None = None
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Part(msgspec.Struct, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: _Call | None = None


class _Content(msgspec.Struct):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, rename="camel"):
    index: int = 0
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Usage(msgspec.Struct, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None


class _Error(msgspec.Struct):
    code: int = 0
    message: str = ""
    status: str = ""


class _Chunk(msgspec.Struct, rename="camel"):
    """A part of a stream, or a whole answer, or an error in the place of either."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    error: _Error | None = None


_CHUNKS: Final = msgspec.json.Decoder[_Chunk | list[_Chunk]](_Chunk | list[_Chunk])
_NOT_YET: Final = frozenset({None, "", "FINISH_REASON_UNSPECIFIED"})
_BROKEN: Final = frozenset(
    {"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"}
)
"""What the model wrote is no answer; asked again it mostly writes one."""
_REASONS: Final[dict[str, StopReason]] = {
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
"""Whatever else an answer may end with is a plain stop."""
_TOO_LONG: Final = ("input token count", "exceeds")
_MOST_LOOSE: Final = 1000


class _Events(SseReader):
    """An error in mid-stream may come as bare JSON over several lines, outside any event: these lines are kept."""

    __slots__ = ("loose",)

    def __init__(self) -> None:
        super().__init__()
        self.loose: list[bytes] = []

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if line[:1] in (b"{", b"[", b" ", b"}", b"]", b",") and len(self.loose) < _MOST_LOOSE:
            self.loose.append(line)
        else:
            super()._line(line, events)


class GeminiDecoder(EventDecoder):
    """Reads one answer, of its first candidate; see `ir.Decoder`. Parts that are no text, thought or call are passed
    over. The signature of a turn's calls is handed on in a `Reasoning` before the first of them."""

    def __init__(self) -> None:
        self._events = _Events()
        super().__init__(self._events)
        self._calls = 0

    def _last(self) -> Iterator[bytes]:
        yield from self._events.end()
        if self._events.loose and not self._stopped:
            yield b"\n".join(self._events.loose)

    def _read(self, datum: bytes, deltas: list[Delta]) -> None:
        decoded = _CHUNKS.decode(datum)
        for chunk in [decoded] if isinstance(decoded, _Chunk) else decoded:
            self._chunk(chunk, deltas)

    def _chunk(self, chunk: _Chunk, deltas: list[Delta]) -> None:
        if self._over:
            return
        if chunk.error is not None:
            self._fail(_failed(chunk.error), deltas)
            return
        finished: str | None = None
        for candidate in chunk.candidates or ():
            if candidate.index == 0 and not self._stopped:
                for part in (candidate.content and candidate.content.parts) or ():
                    self._part(part, deltas)
                finished = candidate.finish_reason
        self._count(chunk.usage_metadata, deltas)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason:
            finished = "PROHIBITED_CONTENT"
        self._finish(finished, deltas)

    def _part(self, part: _Part, deltas: list[Delta]) -> None:
        if (call := part.function_call) is not None and call.name:
            if part.thought_signature:
                deltas.append(Reasoning("", GEMINI + part.thought_signature))
            deltas.append(ToolStart(self._calls, call.id or "", call.name))
            given = msgspec.json.format(bytes(call.args), indent=-1).decode()
            deltas.append(ToolArgs(self._calls, "{}" if given == "null" else given))
            self._calls += 1
        elif part.text:
            deltas.append(Reasoning(part.text) if part.thought else Text(part.text))

    def _count(self, usage: _Usage | None, deltas: list[Delta]) -> None:
        """The prompt's count has the cached tokens in it, the answer's has no thoughts; early chunks count nothing."""
        if usage is None or usage.prompt_token_count is None:
            return
        prompt = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
        wrote = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
        deltas.append(
            Counted(Usage(max(prompt, 0), max(wrote, 0), max(usage.cached_content_token_count or 0, 0)))
        )

    def _finish(self, said: str | None, deltas: list[Delta]) -> None:
        if said in _NOT_YET or said is None or self._stopped:
            return
        if said in _BROKEN:
            self._fail(died(f"with what is no answer: {said}"), deltas)
            return
        self._stopped = True
        deltas.append(Stop(_REASONS.get(said, "tool_calls" if self._calls else "stop")))


def _failed(error: _Error) -> FlockError:
    message = error.message[:2000] or error.status
    if error.code in (429, 503) or error.status in ("RESOURCE_EXHAUSTED", "UNAVAILABLE"):
        return Overloaded(message, retry_after=1)
    if error.code == 400 or error.status == "INVALID_ARGUMENT":
        if all(words in message for words in _TOO_LONG):
            return ContextTooLong(message, field="messages")
        return BadRequest(message)
    return died(f"and said: {message}" if message else "with an error")
