"""Streamed answers of the Anthropic Messages protocol. Pure.

Clients take one open block at a time, of contiguous indices. So while a tool call is open, whatever is not its own
waits until its arguments are whole. The arguments themselves are sent in one piece once they are whole: they must be
valid JSON, and what is sent cannot be taken back. The protocol's own servers hold them back too, but for tools whose
client asks for them as they are written (`eager_input_streaming`).
"""

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec

from controlplane.protocols.anthropic_answer import CallIds, input_of, is_object, message, stop_of, usage_of
from controlplane.protocols.anthropic_error import error_event
from controlplane.protocols.base import Usage
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Meta,
    Progress,
    Reasoning,
    Stop,
    Text,
    ToolArgs,
    ToolStart,
)

_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_LONG_SILENCE_S: Final = 60
"""From here on an empty delta is sent: Claude Code gives up after 300 s in which it saw nothing but pings."""

_SIGN_OF_LIFE: Final = 32
"""So many pieces of held-back arguments are told by an empty delta."""

_Kind = Literal["text", "thinking", "tool_use"]
_DELTAS: Final[dict[_Kind, tuple[str, str]]] = {
    "text": ("text_delta", "text"),
    "thinking": ("thinking_delta", "thinking"),
    "tool_use": ("input_json_delta", "partial_json"),
}

_encode: Final = msgspec.json.encode


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), _encode({"type": name, **fields}))


class MessagesEncoder:
    """Writes one answer; see `ir.Encoder`. `eager` names the tools whose arguments are not held back."""

    def __init__(self, meta: Meta, eager: frozenset[str] = frozenset()) -> None:
        self._meta = meta
        self._eager = eager
        self._out: list[bytes] = []
        self._begun = False
        self._over = False
        self._index = -1
        self._kind: _Kind | None = None
        self._head = b""
        self._signature = ""
        self._call = -1
        self._calls = 0
        self._holds_back = True  # the open call's arguments
        self._sent = 0  # characters of these that are out
        self._call_id = CallIds(meta)
        self._arguments: dict[int, list[str]] = {}
        self._waiting: deque[Text | Reasoning | ToolStart] = deque()
        self._stop: Stop | None = None
        self._usage: Usage | None = None
        self._characters = 0

    def feed(self, deltas: Iterable[Delta]) -> bytes:
        """The events of `deltas`; of none, `message_start`, when that is not out yet."""
        for delta in deltas:
            self._take(delta)
        self._begin()
        return self._written()

    def keep_alive(self, silent_s: float) -> bytes:
        """`silent_s`: since the last bytes of `feed`, whatever was sent to keep alive since then."""
        self._begin()
        if silent_s < _LONG_SILENCE_S or self._stop or self._over:
            return self._written() + (b"" if self._over else _PING)
        if self._kind is None:
            self._open("text", {"text": ""})
        self._say("")
        return self._written()

    def end(self) -> bytes:
        if not self._over:
            self._begin()
            self._finish()
            usage = usage_of(self._usage, self._meta, self._characters)
            self._out.append(
                _event("message_delta", {"delta": stop_of(self._stop, self._calls > 0), "usage": usage})
            )
            self._out.append(_event("message_stop", {}))
            self._over = True
        return self._written()

    def _written(self) -> bytes:
        written = b"".join(self._out)
        self._out.clear()
        return written

    def _begin(self) -> None:
        if not self._begun and not self._over:
            self._begun = True
            start = message(
                self._meta,
                [],
                {"stop_reason": None, "stop_sequence": None},
                usage_of(None, self._meta),
            )
            self._out.append(_event("message_start", {"message": start}))

    def _take(self, delta: Delta) -> None:
        match delta:
            case Text() | Reasoning() | ToolStart():
                self._begin()
                if self._call >= 0 and (self._waiting or not self._close_whole()):
                    self._waiting.append(delta)
                else:
                    self._write(delta)
            case ToolArgs():
                self._take_arguments(delta)
            case Counted(usage):
                self._usage = usage
            case Stop():
                self._begin()
                self._stop = delta
                self._finish()
            case Failure(error):
                self._over = True
                self._out.append(error_event(error))
            case Progress():
                pass

    def _write(self, delta: Text | Reasoning | ToolStart) -> None:
        match delta:
            case Text(text):
                if text:
                    if self._kind != "text":
                        self._open("text", {"text": ""})
                    self._say(text)
            case Reasoning(text, signature):
                if text or signature:
                    if self._kind != "thinking" or self._signature:
                        self._open("thinking", {"thinking": "", "signature": ""})
                    if text:
                        self._say(text)
                    self._signature = signature
            case ToolStart(index, call_id, name):
                self._open("tool_use", {"id": self._call_id(call_id), "name": name, "input": {}})
                self._call = index
                self._calls += 1
                self._holds_back = name not in self._eager
                self._sent = 0
                self._send("".join(self._arguments.get(index, ())))

    def _open(self, kind: _Kind, fields: dict[str, Any]) -> None:
        self._close()
        self._index += 1
        self._kind = kind
        block = {"index": self._index, "content_block": {"type": kind, **fields}}
        self._out.append(_event("content_block_start", block))
        name, field = _DELTAS[kind]
        self._head = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
            % (self._index, name.encode(), field.encode())
        )

    def _say(self, text: str) -> None:
        """A delta of the open block's own type."""
        self._characters += len(text)
        self._out.append(b"%b%b}}\n\n" % (self._head, _encode(text)))

    def _close(self) -> None:
        if self._kind == "thinking":
            signed = {"type": "signature_delta", "signature": self._signature}
            self._out.append(_event("content_block_delta", {"index": self._index, "delta": signed}))
            self._signature = ""
        elif self._kind == "tool_use":
            arguments = "".join(self._arguments.pop(self._call, ()))
            if not self._sent:
                self._say(input_of(arguments))
            self._call = -1
        if self._kind is not None:
            self._out.append(_event("content_block_stop", {"index": self._index}))
            self._kind = None

    def _take_arguments(self, delta: ToolArgs) -> None:
        pieces = self._arguments.setdefault(delta.index, [])
        pieces.append(delta.text)
        if delta.index != self._call:
            return
        self._send(delta.text)
        if self._waiting:
            if delta.text.rstrip().endswith("}") and self._close_whole():
                self._write_waiting()
        elif self._holds_back and len(pieces) % _SIGN_OF_LIFE == 0:
            self._say("")

    def _send(self, arguments: str) -> None:
        """More of the open call's arguments, where they are not held back."""
        if arguments and not self._holds_back:
            self._say(arguments)
            self._sent += len(arguments)

    def _close_whole(self) -> bool:
        """Close the open call, if nothing of it can follow any more."""
        if is_object("".join(self._arguments.get(self._call, ()))):
            self._close()
            return True
        return False

    def _write_waiting(self) -> None:
        while self._waiting and (self._call < 0 or self._close_whole()):
            self._write(self._waiting.popleft())

    def _finish(self) -> None:
        """Close what is open: nothing more is to come."""
        self._write_waiting()
        while self._waiting:
            self._close()
            self._write_waiting()
        self._close()
