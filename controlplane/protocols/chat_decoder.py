"""Answers in chat/completions, whole or streamed, of every engine and vendor that speaks it. Pure.

They agree on little: llama.cpp, vLLM, MLX, Ollama and the vendors differ in how reasoning is called, whether calls have
an index or an id, where the usage stands, and how an error or the reading of the prompt is told. Here that ends.
"""

import re
from typing import Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Usage
from controlplane.protocols.chat_calls import Calls, Fragment
from controlplane.protocols.event_decoder import died
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Progress,
    Reasoning,
    Stop,
    StopReason,
    Text,
)
from controlplane.protocols.openai_chat import UsageObject
from controlplane.protocols.sse import MAX_EVENT
from flockpy.errors import ContextTooLong, EngineDied, FlockError, without_paths


class _Message(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Fragment] | None = None


class _Choice(msgspec.Struct):
    """`message` in whole answers, `delta` in streams, `text` where a bare prompt was completed. `stop_reason` is
    vLLM's: the stop sequence or token it met."""

    index: int | None = 0
    text: str | None = None
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class _PromptProgress(msgspec.Struct):
    processed: int
    total: int
    cache: int = 0


class _Error(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _Timings(msgspec.Struct):
    """llama.cpp's own measure of what it did."""

    prompt_ms: float = 0.0
    predicted_ms: float = 0.0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: UsageObject | None = None
    timings: msgspec.Raw = msgspec.Raw(b"null")
    prompt_progress: _PromptProgress | None = None
    error: _Error | str | None = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)
_ERROR: Final = msgspec.json.Decoder(_Error)
_TIMINGS: Final = msgspec.json.Decoder(_Timings)
_KEEPALIVE: Final = re.compile(rb":\s*keepalive (\d{1,18})/(\d{1,18})\b")
_REASONS: Final[dict[str, StopReason]] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Whatever else an answer may end with is a plain stop."""
_BROKEN: Final = frozenset({"abort", "error", "network_error", "insufficient_system_resource"})
"""The engine has given up, and says so in place of a reason."""
_TOO_LONG: Final = frozenset({"exceed_context_size_error", "context_length_exceeded"})


class ChatDecoder:
    """Reads one streamed answer (`ir.Decoder`). Comments and ``error:`` lines mean something here, so it cuts lines
    itself, and does not wait for the blank line after them: some engines end without it."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._calls = Calls()
        self._stopped = False
        self._over = False

    def feed(self, data: bytes) -> list[Delta]:
        """The deltas of the lines that `data` completes. Nothing comes after a `Failure` or the end mark.

        Raises EngineDied for a line that does not end.
        """
        self._held.append(data)
        self._size += len(data)
        if b"\n" not in data:
            if self._size > MAX_EVENT:
                raise EngineDied(f"the stream has a line of more than {MAX_EVENT} bytes", retry_after=1)
            return []
        lines = b"".join(self._held).split(b"\n")
        self._held = [lines.pop()]
        self._size = len(self._held[0])
        deltas: list[Delta] = []
        for line in lines:
            if self._over:
                break
            self._line(line, deltas)
        return deltas

    def end(self) -> list[Delta]:
        """What the last line had; a `Failure` (EngineDied) when the answer had not come to its end."""
        deltas = self.feed(b"\n")
        if not (self._stopped or self._over):
            self._fail(died("before its answer was complete"), deltas)
        return deltas

    def whole(self, body: bytes) -> list[Delta]:
        """All deltas of an answer that is not streamed, of its first choice alone; a `Failure` when it is none."""
        deltas: list[Delta] = []
        self._datum(body, deltas)
        if not (self._over or any(not isinstance(delta, Counted) for delta in deltas)):
            self._fail(died("without an answer"), deltas)
        elif not self._over:
            self._stop("", None, deltas)
        return deltas

    def _line(self, line: bytes, deltas: list[Delta]) -> None:
        if line.startswith(b"data:"):
            datum = line[5:].strip()
            if datum == b"[DONE]":
                self._stop("", None, deltas)
                self._over = True
            elif datum:
                self._datum(datum, deltas)
        elif line.startswith(b":"):
            if match := _KEEPALIVE.match(line):
                deltas.append(Progress(int(match[1]), int(match[2])))
        elif line.startswith((b"error:", b"{")):  # a bare object: an error answer in the place of a stream
            self._datum(line.removeprefix(b"error:"), deltas)

    def _datum(self, datum: bytes, deltas: list[Delta]) -> None:
        try:
            chunk = _CHUNK.decode(datum)
            if chunk.choices is None and chunk.error is None:
                chunk.error = _ERROR.decode(datum)
        except UNREADABLE as error:
            if not self._stopped:  # past the end only usage can be lost
                self._fail(died(f"with what is no part of an answer: {error}"), deltas)
            return
        if chunk.error is not None and (failure := _failed(chunk.error)):
            self._fail(failure, deltas)
            return
        if chunk.prompt_progress is not None:
            progress = chunk.prompt_progress
            deltas.append(Progress(progress.processed, progress.total, progress.cache))
        for choice in chunk.choices or ():
            if not (choice.index or self._stopped):
                self._choice(choice, deltas)
        if chunk.usage is not None and not self._over:
            deltas.append(Counted(_timed(chunk.usage.counts(), chunk.timings)))

    def _choice(self, choice: _Choice, deltas: list[Delta]) -> None:
        message = choice.delta or choice.message
        if message is not None:
            if reasoning := message.reasoning_content or message.reasoning:
                deltas.append(Reasoning(reasoning))
            if text := message.content or message.refusal:
                deltas.append(Text(text))
            for fragment in message.tool_calls or ():
                self._calls.add(fragment, deltas, alone=choice.delta is None)
        if choice.text:
            deltas.append(Text(choice.text))
        if choice.finish_reason:
            self._stop(choice.finish_reason, choice.stop_reason, deltas)

    def _stop(self, said: str, met: str | int | None, deltas: list[Delta]) -> None:
        if self._stopped:
            return
        if said in _BROKEN:
            self._fail(died(f'with "{said}"'), deltas)
            return
        self._stopped = True
        self._calls.end(deltas)
        reason = _REASONS.get(said, "stop")
        if reason in ("stop", "tool_calls"):  # engines say either of both kinds of end
            reason = "tool_calls" if self._calls.begun else "stop"
        if reason == "stop" and isinstance(met, str) and met:
            deltas.append(Stop("stop_sequence", met))
        else:
            deltas.append(Stop(reason))

    def _fail(self, error: FlockError, deltas: list[Delta]) -> None:
        self._over = True
        deltas.append(Failure(error))


def _timed(usage: Usage, timings: msgspec.Raw) -> Usage:
    """What is no such object is another engine's, and means nothing."""
    try:
        took = _TIMINGS.decode(timings)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return usage
    times = {"prompt_ms": max(took.prompt_ms, 0.0), "completion_ms": max(took.predicted_ms, 0.0)}
    return msgspec.structs.replace(usage, **times)


def _failed(error: _Error | str) -> FlockError | None:
    """What an error object says; None when it is none."""
    said = _Error(error) if isinstance(error, str) else error
    if not (said.message or said.type or said.code):
        return None
    message = f"the engine broke off: {without_paths((said.message or str(said.type or said.code))[:2000])}"
    if said.type in _TOO_LONG or said.code in _TOO_LONG:
        return ContextTooLong(message, field="messages")
    return EngineDied(message, retry_after=1)
