"""Answers of Bedrock's Converse and ConverseStream. Pure.

A stream is read as server-sent events, each a JSON object with one key, the type of the event, around what it says:
``data: {"contentBlockDelta": {…}}``; errors stand among them in the same way.
"""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from controlplane.protocols.base import UNREADABLE, Usage
from controlplane.protocols.converse_shapes import Answer, Block, Ended, Error, Event, Part, TokenUsage
from controlplane.protocols.event_decoder import EventDecoder, died
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Reasoning,
    Stop,
    StopReason,
    Text,
    ToolArgs,
    ToolStart,
)
from flockpy.errors import BadRequest, ContextTooLong, FlockError, Overloaded, without_paths

_EVENT: Final = msgspec.json.Decoder(Event)
_ANSWER: Final = msgspec.json.Decoder(Answer)
_OTHER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ERROR: Final = msgspec.json.Decoder(Error)
_PIECE: Final = msgspec.json.Decoder(str)
_TOO_LONG: Final = re.compile(
    r"too long|context window|maximum context|exceeds? the .*tokens?", re.IGNORECASE
)
_REASONS: Final[Mapping[str, StopReason]] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "stop_sequence": "stop_sequence",
}
"""Whatever else an answer may end with is a plain stop, but for what is no answer at all."""
_MALFORMED: Final = frozenset({"malformed_model_output", "malformed_tool_use"})


class ConverseDecoder(EventDecoder):
    """Reads one answer; see `ir.Decoder`. `names`: how the client knows tools, by the names that the model calls them
    by, where these differ. Calls of tools that run at the vendor have no place in the neutral form."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names = names or {}
        self._calls: dict[int, int] = {}  # from the index of a block to that of its call
        self._silent: set[int] = set()  # blocks of calls that had no arguments so far

    def whole(self, body: bytes) -> list[Delta]:
        """All deltas of an answer that is not streamed."""
        deltas: list[Delta] = []
        try:
            answer = _ANSWER.decode(body)
        except UNREADABLE as error:
            return [Failure(died(f"with what is no answer: {error}"))]
        if answer.output is None or answer.output.message is None:
            return [Failure(died("without an answer"))]
        for index, block in enumerate(answer.output.message.content):
            self._block(index, block, deltas)
        self._count(answer.usage, deltas)
        self._stop(answer, deltas)
        return deltas

    def _read(self, datum: bytes, deltas: list[Delta]) -> None:
        event = _EVENT.decode(datum)
        if event.content_block_delta is not None:
            self._piece(event.content_block_delta, deltas)
        elif event.content_block_start is not None:
            self._begin(event.content_block_start, deltas)
        elif event.content_block_stop is not None:
            self._complete(event.content_block_stop.content_block_index, deltas)
        elif event.message_stop is not None:
            self._stop(event.message_stop, deltas)
        elif event.metadata is not None:
            self._count(event.metadata.usage, deltas)
        elif event.message_start is None:
            self._other(datum, deltas)

    def _other(self, datum: bytes, deltas: list[Delta]) -> None:
        for name, value in _OTHER.decode(datum).items():
            if name.endswith("Exception"):
                self._fail(_failed(name, _ERROR.decode(value)), deltas)
                return

    def _begin(self, part: Part, deltas: list[Delta]) -> None:
        tool = part.start.tool_use if part.start else None
        if tool is not None and not tool.type:
            call = self._calls[part.content_block_index] = len(self._calls)
            self._silent.add(part.content_block_index)
            deltas.append(ToolStart(call, tool.tool_use_id, self._names.get(tool.name, tool.name)))

    def _piece(self, part: Part, deltas: list[Delta]) -> None:
        index, delta = part.content_block_index, part.delta or Block()
        if delta.tool_use is not None:
            piece = _PIECE.decode(delta.tool_use.input)
            if piece and index in self._calls:
                self._silent.discard(index)
                deltas.append(ToolArgs(self._calls[index], piece))
        else:
            _say(delta, deltas)

    def _complete(self, index: int, deltas: list[Delta]) -> None:
        """A call that no piece told the arguments of has none."""
        if index in self._silent:
            self._silent.discard(index)
            deltas.append(ToolArgs(self._calls[index], "{}"))

    def _block(self, index: int, block: Block, deltas: list[Delta]) -> None:
        if block.tool_use is not None:
            self._begin(Part(index, start=block), deltas)
            if index in self._silent:
                self._silent.discard(index)
                deltas.append(ToolArgs(self._calls[index], bytes(block.tool_use.input).decode()))
        else:
            _say(block, deltas)

    def _count(self, usage: TokenUsage | None, deltas: list[Delta]) -> None:
        """`inputTokens` are those that had nothing to do with the cache."""
        if usage is not None:
            cached, written = max(usage.cache_read_input_tokens, 0), max(usage.cache_write_input_tokens, 0)
            prompt = max(usage.input_tokens, 0) + written + cached
            completion = max(usage.output_tokens, 0)
            deltas.append(Counted(Usage(prompt, completion, cached, cache_written_tokens=written)))

    def _stop(self, ended: Ended, deltas: list[Delta]) -> None:
        if ended.stop_reason in _MALFORMED:
            self._fail(died(f"with {ended.stop_reason.replace('_', ' ')}"), deltas)
            return
        for index in sorted(self._silent):
            self._complete(index, deltas)
        if not self._stopped:
            self._stopped = True
            reason: StopReason = _REASONS.get(ended.stop_reason, "stop")
            fields = ended.additional_model_response_fields
            met = fields.stop_sequence if fields and reason == "stop_sequence" else None
            deltas.append(Stop(reason, met or ""))


def _say(block: Block, deltas: list[Delta]) -> None:
    if block.text:
        deltas.append(Text(block.text))
    elif (thought := block.reasoning_content) is not None:
        # Without its signature: models that are asked so take none back, and to others it would look like their own.
        if text := (thought.reasoning_text or thought).text:
            deltas.append(Reasoning(text))
    elif block.citations_content is not None:
        deltas.extend(Text(said.text) for said in block.citations_content.content if said.text)


def _failed(name: str, error: Error) -> FlockError:
    message = without_paths((error.original_message or error.message)[:2000]) or name
    match name:
        case "throttlingException" | "serviceUnavailableException" | "modelNotReadyException":
            return Overloaded(message, retry_after=1)
        case "validationException" if _TOO_LONG.search(message):
            return ContextTooLong(message, field="messages")
        case "validationException":
            return BadRequest(message)
        case _:
            return died(f"and said: {message}")
