"""Answers in the Anthropic Messages protocol, streamed or whole, of vendors and of engines that speak it. Pure."""

import re
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
from flockpy.errors import BadRequest, ContextTooLong, FlockError, Overloaded, without_paths


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None


class _Block(msgspec.Struct):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Change(msgspec.Struct):
    """What a delta event of a block or of the message says."""

    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Message(msgspec.Struct):
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: _Usage | None = None


class _Error(msgspec.Struct):
    """The numbers are llama.cpp's, of a prompt that does not fit."""

    type: str = ""
    message: str = ""
    n_prompt_tokens: int = 0
    n_ctx: int = 0


class _Event(_Message):
    """An event of a stream, or a whole answer, or an error in the place of either."""

    type: str = ""
    index: int = -1
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Change | None = None
    error: _Error | None = None


_EVENT: Final = msgspec.json.Decoder(_Event)
_EMPTY: Final = frozenset({b"{}", b"null"})
_TOO_LONG: Final = re.compile(r"prompt is too long(?:: (\d{1,18}) tokens > (\d{1,18}))?")
_REASONS: Final[dict[str, StopReason]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "stop_sequence": "stop_sequence",
}
"""Whatever else an answer may end with is a plain stop."""


class MessagesDecoder(EventDecoder):
    """Reads one streamed answer; see `ir.Decoder`. Blocks that a vendor makes on its own account (searches, redacted
    thoughts) have no place in the neutral form and are passed over."""

    def __init__(self) -> None:
        super().__init__()
        self._usage = _Usage()
        self._calls: dict[int, int] = {}  # from the index of a block to that of its call
        self._input: dict[int, bytes] = {}  # what a block began with, until more of it comes

    def _read(self, datum: bytes, deltas: list[Delta]) -> None:
        event = _EVENT.decode(datum)
        match event.type:
            case "content_block_delta" if event.delta:
                self._change(event.index, event.delta, deltas)
            case "content_block_start" if event.content_block:
                self._begin(event.index, event.content_block, deltas)
            case "content_block_stop":
                self._complete(event.index, deltas)
            case "message_start" if event.message:
                self._count(event.message.usage, deltas)
            case "message_delta" if event.delta:
                self._count(event.usage, deltas)
                self._stop(event.delta.stop_reason, event.delta.stop_sequence, deltas)
            case "message_stop":
                self._stop("end_turn", None, deltas)
                self._over = True
            case "message":
                for index, block in enumerate(event.content or ()):
                    self._begin(index, block, deltas)
                    self._complete(index, deltas)
                self._count(event.usage, deltas)
                self._stop(event.stop_reason or "end_turn", event.stop_sequence, deltas)
            case _ if event.type == "error" or event.error:
                self._fail(_failed(event.error or _Error()), deltas)
            case _:
                pass

    def _begin(self, index: int, block: _Block, deltas: list[Delta]) -> None:
        match block.type:
            case "text" if block.text:
                deltas.append(Text(block.text))
            case "thinking" if block.thinking or block.signature:
                deltas.append(Reasoning(block.thinking or "", block.signature or ""))
            case "tool_use":
                call = self._calls[index] = len(self._calls)
                self._input[index] = bytes(block.input)
                deltas.append(ToolStart(call, block.id or "", block.name or ""))
            case _:
                pass

    def _change(self, index: int, change: _Change, deltas: list[Delta]) -> None:
        if change.text:
            deltas.append(Text(change.text))
        elif change.thinking:
            deltas.append(Reasoning(change.thinking))
        elif change.signature:
            deltas.append(Reasoning("", change.signature))
        elif change.partial_json and index in self._calls:
            self._input.pop(index, None)
            deltas.append(ToolArgs(self._calls[index], change.partial_json))

    def _complete(self, index: int, deltas: list[Delta]) -> None:
        """A call that no delta told the arguments of has those it began with."""
        if index in self._input:
            given = self._input.pop(index)
            deltas.append(ToolArgs(self._calls[index], "{}" if given in _EMPTY else given.decode()))

    def _count(self, usage: _Usage | None, deltas: list[Delta]) -> None:
        """Counts are of the whole answer so far; what an event leaves out stands as it was."""
        if usage is None:
            return
        for name in _Usage.__struct_fields__:
            count: int | None = getattr(usage, name)
            if count is not None:
                setattr(self._usage, name, max(count, 0))
        cached = self._usage.cache_read_input_tokens or 0
        written = self._usage.cache_creation_input_tokens or 0
        prompt = (self._usage.input_tokens or 0) + written + cached
        completion = self._usage.output_tokens or 0
        deltas.append(Counted(Usage(prompt, completion, cached, cache_written_tokens=written)))

    def _stop(self, said: str | None, sequence: str | None, deltas: list[Delta]) -> None:
        if said and not self._stopped:
            self._stopped = True
            reason = _REASONS.get(said, "stop")
            deltas.append(Stop(reason, (sequence or "") if reason == "stop_sequence" else ""))


def _failed(error: _Error) -> FlockError:
    message = without_paths(error.message[:2000]) or error.type
    match error.type:
        case "overloaded_error" | "rate_limit_error":
            return Overloaded(message, retry_after=1)
        case "invalid_request_error" | "request_too_large" if long := _TOO_LONG.search(message):
            tokens, maximum = int(long[1] or 0), int(long[2] or 0)
            return ContextTooLong(message, field="messages", tokens=tokens, maximum=maximum)
        case "exceed_context_size_error":
            return ContextTooLong(
                message, field="messages", tokens=error.n_prompt_tokens, maximum=error.n_ctx
            )
        case "invalid_request_error":
            return BadRequest(message)
        case _:
            return died(f"and said: {message}" if message else "with an error")
