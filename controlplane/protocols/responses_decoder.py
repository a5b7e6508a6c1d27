"""Answers in the Responses protocol, streamed or whole, of vendors and of engines that speak it. Pure."""

from collections.abc import Mapping
from typing import Final

from controlplane.protocols import responses_answer as answer
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
from controlplane.protocols.responses_error import ErrorObject, failed
from controlplane.protocols.responses_tools import as_input

_REASONS: Final[Mapping[str | None, StopReason]] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
"""Why an answer is incomplete; whatever else is a plain stop."""


class ResponsesDecoder(EventDecoder):
    """Reads one streamed answer; see `ir.Decoder`. `names`: the client's names of tools that are offered by another.

    What a vendor makes on its own account (searches, pictures) has no place in the neutral form and is passed over.
    """

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._names: Mapping[str, str] = names or {}
        self._calls: dict[int, int] = {}  # from the index of an item to that of its call
        self._grown: set[int] = set()  # items of which pieces came
        self._place = (-1, "", 0)  # in which item, form and part reasoning last grew
        self._refused = False

    def _read(self, datum: bytes, deltas: list[Delta]) -> None:
        event = answer.event(datum)
        match event.type:
            case "response.output_text.delta":
                deltas += map(Text, self._piece(event))
            case "response.function_call_arguments.delta" if event.output_index in self._calls:
                deltas += [ToolArgs(self._calls[event.output_index], text) for text in self._piece(event)]
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                deltas += map(Reasoning, self._thought(event))
            case "response.refusal.delta":
                self._refused = True
                deltas += map(Text, self._piece(event))
            case "response.output_item.added":
                self._begin(event.output_index, answer.item(event.item), deltas)
            case "response.output_item.done":
                self._complete(event.output_index, answer.item(event.item), deltas)
            case "response.completed" | "response.incomplete" | "response.failed" if event.response:
                self._end(event.response, deltas)
            case "error":
                self._fail(failed(event.error or ErrorObject(event.code, event.message)), deltas)
            case "" if event.object == "response":
                for index, item in enumerate(event.output or ()):
                    self._complete(index, answer.item(item), deltas)
                self._end(event, deltas)
            case "" if event.error:
                self._fail(failed(event.error), deltas)
            case _:
                pass

    def _piece(self, event: answer.Event) -> tuple[str, ...]:
        """What an item has grown by, if at all."""
        if not isinstance(event.delta, str) or not event.delta:
            return ()
        self._grown.add(event.output_index)
        return (event.delta,)

    def _thought(self, event: answer.Event) -> tuple[str, ...]:
        """The same of reasoning: of summaries or of the text itself, whichever comes first; parts are paragraphs."""
        place = (event.output_index, event.type, event.summary_index + event.content_index)
        last = self._place if self._place[0] == event.output_index else place
        if last[1] != event.type or not (piece := self._piece(event)):
            return ()
        self._place = place
        return piece if last == place else ("\n\n", *piece)

    def _begin(self, index: int, item: answer.Item, deltas: list[Delta]) -> None:
        if item.type in ("function_call", "custom_tool_call") and index not in self._calls:
            call = self._calls[index] = len(self._calls)
            name = item.name or ""
            deltas.append(ToolStart(call, item.call_id or "", self._names.get(name, name)))

    def _complete(self, index: int, item: answer.Item, deltas: list[Delta]) -> None:
        """What no delta told of an item is told by the item itself."""
        told = index in self._grown
        match item.type:
            case "message" if not told:
                for part in item.content or ():
                    self._refused = self._refused or bool(part.refusal)
                    deltas += [Text(text) for text in (part.text, part.refusal) if text]
            case "reasoning":
                text = "" if told else answer.text(item.content) or answer.text(item.summary)
                if text or item.encrypted_content:
                    deltas.append(Reasoning(text, item.encrypted_content or ""))
            case "function_call":
                self._begin(index, item, deltas)
                if not told:
                    deltas.append(ToolArgs(self._calls[index], item.arguments or "{}"))
            case "custom_tool_call":
                self._begin(index, item, deltas)
                deltas.append(ToolArgs(self._calls[index], as_input(item.input or "")))
            case _:
                pass

    def _end(self, response: answer.Response, deltas: list[Delta]) -> None:
        if response.usage is not None:
            deltas.append(Counted(response.usage.counts()))
        if response.status == "incomplete":
            why = response.incomplete_details.reason if response.incomplete_details else None
            deltas.append(Stop(_REASONS.get(why, "stop")))
        elif response.status == "completed":
            refused: StopReason = "content_filter" if self._refused else "stop"
            deltas.append(Stop("tool_calls" if self._calls else refused))
        elif response.error:
            self._fail(failed(response.error), deltas)
        else:
            self._fail(died(f"with a response that is {response.status or 'nothing'}"), deltas)
        self._over = True
