"""The items that a Responses answer is made of, and the events that each of them is streamed in. Pure.

An item is added, grows piece by piece, and is done; only then is it whole. Clients take texts and calls from the
finished item.
"""

from typing import Any, ClassVar, Final, Literal

import msgspec

from controlplane.protocols.base import UNREADABLE
from controlplane.protocols.ir import Origin
from controlplane.protocols.responses_text import PlainText

Status = Literal["in_progress", "completed", "incomplete"]
Event = tuple[str, dict[str, Any]]
"""Its type, and what it says beyond `item_id` and `output_index`."""

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Item:
    """One item of the output; `index` is its place there. Grows by `texts`."""

    delta: ClassVar[str]
    """The type of the event that brings a piece."""
    delta_head: ClassVar[bytes] = b""
    delta_tail: ClassVar[bytes] = b""
    """What such an event says before and after the piece, as JSON members."""

    def __init__(self, index: int, id: str) -> None:
        self.index = index
        self.id = id
        self.texts: list[str] = []

    def complete(self) -> bool:
        """Whether nothing that may still come can belong to it."""
        return True

    def piece(self, text: str) -> str:
        """What is shown of a further piece when it comes."""
        return text

    def opening(self) -> list[Event]:
        """What goes out before the first piece."""
        return []

    def closing(self) -> list[Event]:
        """What goes out after the last piece."""
        raise NotImplementedError

    def shown(self, status: Status) -> dict[str, Any]:
        """The item as the protocol has it, with all that it has grown to."""
        raise NotImplementedError


class Message(Item):
    delta = "response.output_text.delta"
    delta_head = b'"content_index":0,'
    delta_tail = b',"logprobs":[]'

    def opening(self) -> list[Event]:
        return [("response.content_part.added", {"content_index": 0, "part": _text_part("")})]

    def closing(self) -> list[Event]:
        text = "".join(self.texts)
        return [
            ("response.output_text.done", {"content_index": 0, "text": text, "logprobs": []}),
            ("response.content_part.done", {"content_index": 0, "part": _text_part(text)}),
        ]

    def shown(self, status: Status) -> dict[str, Any]:
        content = [_text_part("".join(self.texts))] if self.texts else []
        return {"id": self.id, "type": "message", "status": status, "role": "assistant", "content": content}


class Reasoning(Item):
    """`signature` is its vendor's proof of origin: the client sends it back with the next turn."""

    delta = "response.reasoning_text.delta"
    delta_head = b'"content_index":0,'

    def __init__(self, index: int, id: str) -> None:
        super().__init__(index, id)
        self.signature = ""

    def opening(self) -> list[Event]:
        return [("response.content_part.added", {"content_index": 0, "part": self._part("")})]

    def closing(self) -> list[Event]:
        if not self.texts:
            return []
        text = "".join(self.texts)
        return [
            ("response.reasoning_text.done", {"content_index": 0, "text": text}),
            ("response.content_part.done", {"content_index": 0, "part": self._part(text)}),
        ]

    def shown(self, status: Status) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "reasoning",
            "status": status,
            "summary": [],
            "content": self._parts(),
            "encrypted_content": self.signature or None,
        }

    def _parts(self) -> list[dict[str, Any]]:
        return [self._part("".join(self.texts))] if self.texts else []

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "reasoning_text", "text": text}


class Summary(Reasoning):
    """Reasoning for a client that shows summaries alone: it is its own summary."""

    delta = "response.reasoning_summary_text.delta"
    delta_head = b'"summary_index":0,'

    def opening(self) -> list[Event]:
        return [("response.reasoning_summary_part.added", {"summary_index": 0, "part": self._part("")})]

    def closing(self) -> list[Event]:
        if not self.texts:
            return []
        text = "".join(self.texts)
        return [
            ("response.reasoning_summary_text.done", {"summary_index": 0, "text": text}),
            ("response.reasoning_summary_part.done", {"summary_index": 0, "part": self._part(text)}),
        ]

    def shown(self, status: Status) -> dict[str, Any]:
        return super().shown(status) | {"summary": self._parts(), "content": []}

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "summary_text", "text": text}


class Call(Item):
    """A call of a function, by the name its client knows."""

    delta = "response.function_call_arguments.delta"

    def __init__(self, index: int, id: str, call_id: str, origin: Origin) -> None:
        super().__init__(index, id)
        self.call_id = call_id
        self._origin = origin

    def complete(self) -> bool:
        arguments = "".join(self.texts).strip()
        if not arguments.endswith("}"):
            return False
        try:
            _OBJECT.decode(arguments)
        except UNREADABLE:
            return False
        return True

    def closing(self) -> list[Event]:
        none: list[Event] = [] if self.texts else [(self.delta, {"delta": "{}"})]
        self.texts = self.texts or ["{}"]
        said = {"arguments": "".join(self.texts), "name": self._origin.name}
        return [*none, ("response.function_call_arguments.done", said)]

    def shown(self, status: Status) -> dict[str, Any]:
        return self._named("function_call", status) | {"arguments": "".join(self.texts)}

    def _named(self, kind: str, status: Status) -> dict[str, Any]:
        call = {"id": self.id, "type": kind, "status": status, "call_id": self.call_id}
        namespace = {"namespace": self._origin.namespace} if self._origin.namespace else {}
        return call | {"name": self._origin.name} | namespace


class CustomCall(Call):
    """A call of a tool that takes plain text, which is read out of the JSON around it."""

    delta = "response.custom_tool_call_input.delta"

    def __init__(self, index: int, id: str, call_id: str, origin: Origin) -> None:
        super().__init__(index, id, call_id, origin)
        self._text = PlainText()
        self._shown = False

    def piece(self, text: str) -> str:
        read = self._text.feed(text)
        self._shown = self._shown or bool(read)
        return read

    def closing(self) -> list[Event]:
        text = self._text.end()
        late: list[Event] = [(self.delta, {"delta": text})] if text and not self._shown else []
        return [*late, ("response.custom_tool_call_input.done", {"input": text})]

    def shown(self, status: Status) -> dict[str, Any]:
        text = "" if status == "in_progress" else self._text.end()
        return self._named("custom_tool_call", status) | {"input": text}


def _text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
