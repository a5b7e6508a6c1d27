"""A streamed answer in the Responses protocol. Pure.

One item is open at a time. A call is done when its arguments are a whole object or the answer ends; what begins before
that waits behind it.
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from controlplane.protocols import ir
from controlplane.protocols.base import Usage
from controlplane.protocols.responses_items import Call, CustomCall, Item, Message, Reasoning, Status, Summary
from controlplane.protocols.responses_object import begun, failure, guessed, usage
from controlplane.protocols.responses_tools import Returned
from flockpy.errors import FlockError

_encode: Final = msgspec.json.Encoder().encode
_CUT: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Reasons to stop that leave an answer incomplete, and what the protocol calls them."""


class ResponsesEncoder:
    """`response` is the Response object as far as it has come: whole once `end` was called."""

    def __init__(self, request: ir.Request, meta: ir.Meta) -> None:
        self.response = begun(request, meta)
        self._meta = meta
        self._tools = Returned(request)
        self._thought = Summary if request.thinking.summary else Reasoning
        turns = (message for message in request.messages if isinstance(message, ir.Assistant))
        self._call_ids = {call.id for turn in turns for call in turn.calls}
        self._number = 0
        self._items = 0
        self._line: deque[Item] = deque()
        self._calls: dict[int, Call] = {}
        self._piece = (b"", b"", b"")
        self._grown = False
        self._stop: ir.Stop | None = None
        self._usage: Usage | None = None
        self._characters = 0
        self._over = False

    def feed(self, deltas: Iterable[ir.Delta]) -> bytes:
        out = self._start()
        for delta in deltas:
            if self._over:
                break
            match delta:
                case ir.Text():
                    if delta.text:
                        self._grow(self._message(out), delta.text, out)
                case ir.Reasoning():
                    self._think(delta, out)
                case ir.ToolStart():
                    self._call(delta, out)
                case ir.ToolArgs():
                    if (call := self._calls.get(delta.index)) is not None and delta.text:
                        self._grow(call, delta.text, out)
                case ir.Stop():
                    self._stop = delta
                case ir.Counted():
                    self._usage = delta.usage
                case ir.Failure():
                    self._fail(delta.error, out)
                case ir.Progress():
                    pass
        return b"".join(out)

    def keep_alive(self, silent_s: float) -> bytes:
        """Comments do not reset the timer of Codex: an event that says nothing new does."""
        if self._over:
            return b""
        out = self._start()
        if not out:
            out.append(self._event("response.in_progress", {"response": self.response | {"output": []}}))
        return b"".join(out)

    def end(self) -> bytes:
        if self._over:
            return b""
        out = self._start()
        if not self._items:  # clients look for a message, though the model said nothing
            self._grow(self._message(out), "", out)
        cut = _CUT.get(self._stop.reason) if self._stop is not None else None
        while self._line:
            self._close(self._line[0], "incomplete" if cut and len(self._line) == 1 else "completed", out)
        self.response["usage"] = usage(self._usage or guessed(self._meta, self._characters))
        ending: Status = "incomplete" if cut else "completed"
        self.response["status"] = ending
        self.response["incomplete_details"] = {"reason": cut} if cut else None
        self._finish(f"response.{ending}", out)
        return b"".join(out)

    def _start(self) -> list[bytes]:
        if self._number:
            return []
        said = {"response": self.response}
        return [self._event("response.created", said), self._event("response.in_progress", said)]

    def _event(self, kind: str, fields: dict[str, Any]) -> bytes:
        data = _encode({"type": kind, "sequence_number": self._number, **fields})
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def _of(self, item: Item, kind: str, fields: dict[str, Any]) -> bytes:
        return self._event(kind, {"item_id": item.id, "output_index": item.index, **fields})

    def _message(self, out: list[bytes]) -> Item:
        last = self._line[-1] if self._line else None
        return last if isinstance(last, Message) else self._begin(Message(self._items, self._id("msg")), out)

    def _think(self, delta: ir.Reasoning, out: list[bytes]) -> None:
        if not delta.text and not delta.signature:
            return
        last = self._line[-1] if self._line else None
        if not isinstance(last, Reasoning) or last.signature:
            last = self._thought(self._items, self._id("rs"))
            self._begin(last, out)
        if delta.text:
            self._grow(last, delta.text, out)
        last.signature = delta.signature

    def _call(self, delta: ir.ToolStart, out: list[bytes]) -> None:
        if delta.index in self._calls:
            return
        call_id = delta.id
        if not call_id or call_id in self._call_ids:
            call_id = f"call_{self._meta.id}_{delta.index}"
        self._call_ids.add(call_id)
        origin = self._tools.origin(delta.name)
        make, prefix = (CustomCall, "ctc") if origin.custom else (Call, "fc")
        call = make(self._items, self._id(prefix), call_id, origin)
        self._calls[delta.index] = call
        self._begin(call, out)

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._meta.id}_{self._items}"

    def _begin(self, item: Item, out: list[bytes]) -> Item:
        self._items += 1
        self._line.append(item)
        if len(self._line) == 1:
            self._open(item, out)
        else:
            self._advance(out)
        return item

    def _open(self, item: Item, out: list[bytes]) -> None:
        texts, item.texts = item.texts, []
        added = {"output_index": item.index, "item": item.shown("in_progress")}
        out.append(self._event("response.output_item.added", added))
        head = b'event: %b\ndata: {"type":"%b","sequence_number":' % ((item.delta.encode(),) * 2)
        where = b',"item_id":"%b","output_index":%d,' % (item.id.encode(), item.index)
        self._piece = (head, where + item.delta_head + b'"delta":', item.delta_tail + b"}\n\n")
        self._grown = False
        if texts:
            self._grow(item, "".join(texts), out)

    def _grow(self, item: Item, text: str, out: list[bytes]) -> None:
        item.texts.append(text)
        if not self._line or item is not self._line[0]:
            return
        if not self._grown:
            self._grown = True
            out += [self._of(item, *event) for event in item.opening()]
        if shown := item.piece(text):
            head, where, tail = self._piece
            out.append(b"%b%d%b%b%b" % (head, self._number, where, _encode(shown), tail))
            self._number += 1
        if len(self._line) > 1:
            self._advance(out)

    def _advance(self, out: list[bytes]) -> None:
        while len(self._line) > 1 and self._line[0].complete():
            self._close(self._line[0], "completed", out)

    def _close(self, item: Item, status: Status, out: list[bytes]) -> None:
        out += [self._of(item, *event) for event in item.closing()]
        done = item.shown(status)
        out.append(self._event("response.output_item.done", {"output_index": item.index, "item": done}))
        self.response["output"].append(done)
        self._characters += sum(map(len, item.texts))
        self._line.popleft()
        if self._line:
            self._open(self._line[0], out)

    def _fail(self, error: FlockError, out: list[bytes]) -> None:
        # What is still open stays open: clients act upon a finished call.
        self.response["status"] = "failed"
        self.response["error"] = failure(error)
        if self._usage is not None:
            self.response["usage"] = usage(self._usage)
        self._finish("response.failed", out)

    def _finish(self, kind: str, out: list[bytes]) -> None:
        self._over = True
        out.append(self._event(kind, {"response": self.response}))
