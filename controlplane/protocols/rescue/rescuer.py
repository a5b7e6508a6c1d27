"""The filter over one answer's deltas that mends what the engine should have understood. Pure.

What is decided here, and why:

- A call that was cut short is completed only when nothing of its arguments can be missing. Else it stays the text it is
  and the answer ends with ``length``: an agent survives a cut answer, not a file that was written by half.
- A call in reasoning counts only when the answer ends with it. Models draft calls while they think, and then make them.
- An answer that is reasoning alone is given once more as text, if the model ended it itself, or if it was cut, is short
  and no tools were offered: programs take an empty answer for a broken model, and loop on it. An agent knows what to do
  with ``length``, and would keep stray thoughts as its answer.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final, Literal, get_args

from controlplane.protocols.ir import Delta, Failure, Reasoning, Stop, Text, Tool, ToolArgs, ToolStart
from controlplane.protocols.rescue.calls import Calls
from controlplane.protocols.rescue.formats import FORMATS
from controlplane.protocols.rescue.lexicon import Lexicon, lexicon
from controlplane.protocols.rescue.offered import Offered
from controlplane.protocols.rescue.scanner import Hit, Piece, Scanner

Kind = Literal[
    "hermes", "qwen_xml", "invoke_xml", "pythonic", "mistral", "llama_json", "harmony", "escaped",
    "think", "reasoning_calls", "cut", "call_ids", "names", "arguments", "stop_reason", "eaten",
]  # fmt: skip

ALL_KINDS: Final[frozenset[Kind]] = frozenset(get_args(Kind))
_SMALL: Final = 4096
"""Characters of reasoning that a small ``max_tokens`` may have cut."""


@lru_cache(64)
def _lexica(off: frozenset[str], tools: bool) -> tuple[Lexicon, Lexicon]:
    """What to look for in a text, and what in the reasoning that an engine has told apart."""
    formats = [entry for entry in FORMATS if entry.kind not in off and (tools or not entry.calls)]
    thoughts = [entry for entry in formats if entry.thoughts and "reasoning_calls" not in off]
    return lexicon(formats), lexicon(thoughts)


class Rescuer:
    """Feed it every delta of one answer; what comes out is what the model meant.

    `tools` are those of the request: without any, nothing is taken for a call. `seed` is unique to the answer, such as
    `Meta.id`. `off`: the kinds that are not mended for this model. `whole`: the answer is not streamed, so nothing
    comes out before `end`, and what stands before a ``</think>`` without beginning can become reasoning. `thinking`:
    the model's template ends within ``<think>``, so its text begins as reasoning.
    """

    def __init__(
        self,
        *,
        tools: Iterable[Tool] = (),
        seed: str = "",
        off: frozenset[Kind] = frozenset(),
        whole: bool = False,
        thinking: bool = False,
    ) -> None:
        self._rescued: dict[str, int] = {}
        offered = Offered(tools)
        content, thoughts = _lexica(off, bool(offered))
        self._content = Scanner(content, offered, thinking and "think" not in off, whole)
        self._thinking = Scanner(thoughts, offered, True, whole)
        self._calls = Calls(offered, seed, frozenset(off), self._rescued)
        self._has_tools = bool(offered)
        self._off = off
        self._whole = whole
        self._pending: list[Piece] = []  # calls in reasoning, and white space after them
        self._spoken = False  # some text has come
        self._called = False  # a call that was found is the last thing there is
        self._thoughts: list[str] | None = None if "eaten" in off else []
        self._out: list[Delta] = []

    @property
    def rescued(self) -> Mapping[str, int]:
        """What was mended so far, by kind."""
        return self._rescued

    def feed(self, deltas: Iterable[Delta]) -> list[Delta]:
        """The deltas that can be passed on."""
        for delta in deltas:
            kind = type(delta)
            if kind is Text or kind is Reasoning:
                self._text(delta)  # pyright: ignore[reportArgumentType]
            elif isinstance(delta, ToolStart | ToolArgs):
                self._call(delta)
            elif isinstance(delta, Stop):
                self._stop(delta)
            elif isinstance(delta, Failure):
                self._failed()
                self._out.append(delta)
            else:
                self._out.append(delta)
        return [] if self._whole else self._taken()

    def end(self) -> list[Delta]:
        """Called once, at the end: what was still held back."""
        self._finish(cut=True)
        self._release()
        self._out += self._calls.end(cut=True)
        return self._taken()

    def _taken(self) -> list[Delta]:
        out, self._out = self._out, []
        return out

    def _text(self, delta: Text | Reasoning) -> None:
        if not delta.text and not (isinstance(delta, Reasoning) and delta.signature):
            self._out.append(delta)
            return
        if isinstance(delta, Text):
            scanner, other = self._content, self._thinking
        else:
            scanner, other = self._thinking, self._content
        if other.busy:
            self._put_all(other.finish(cut=True))
        if isinstance(delta, Reasoning) and delta.signature:  # a vendor's: nothing to mend
            self._put_all(scanner.release())
            self._put(delta)
        elif not scanner.quiet(delta.text):
            self._put_all(scanner.feed(delta.text))
        elif scanner.thinking and isinstance(delta, Text):
            self._put(Reasoning(delta.text))
        elif not scanner.thinking and isinstance(delta, Reasoning):
            self._put(Text(delta.text))
        else:
            self._put(delta)

    def _put_all(self, pieces: Iterable[Piece]) -> None:
        for piece in pieces:
            self._put(piece)

    def _put(self, piece: Piece) -> None:
        if isinstance(piece, Hit):
            self._hit(piece)
            return
        if self._pending:
            if not piece.text.strip():
                self._pending.append(piece)
                return
            self._release()
        if isinstance(piece, Reasoning):
            if self._thoughts is not None:
                self._thoughts.append(piece.text)
        elif (not self._spoken or self._called) and piece.text.strip():
            self._spoken, self._called, self._thoughts = True, False, None
        self._out.append(piece)

    def _hit(self, hit: Hit) -> None:
        if not hit.found.calls:
            if hit.found.orphan and self._whole:
                self._out = [
                    Reasoning(delta.text) if isinstance(delta, Text) else delta for delta in self._out
                ]
                self._spoken = False
            self._rescued.setdefault(hit.kind, 1)  # a tag is one mended thing, however often it stands there
        elif hit.thinking:
            self._pending.append(hit)
        else:
            self._release()
            self._make(hit)

    def _make(self, hit: Hit) -> None:
        if hit.found.cut and "cut" in self._off:
            self._put(Text(hit.raw))
            return
        for call in hit.found.calls:
            self._out += self._calls.rescued(call)
            self._count(hit.kind)
        if hit.found.cut:
            self._count("cut")
        self._called, self._thoughts = True, None

    def _release(self) -> None:
        """Calls in reasoning that were drafts go on as the reasoning they are."""
        pending, self._pending = self._pending, []
        for piece in pending:
            self._put(Reasoning(piece.raw) if isinstance(piece, Hit) else piece)

    def _call(self, delta: ToolStart | ToolArgs) -> None:
        self._finish(cut=True)
        self._release()
        self._called, self._thoughts = False, None
        self._out += self._calls.start(delta) if isinstance(delta, ToolStart) else self._calls.args(delta)

    def _finish(self, cut: bool) -> None:
        for scanner in (self._thinking, self._content):
            if scanner.busy:
                self._put_all(scanner.finish(cut))

    def _failed(self) -> None:
        for scanner in (self._thinking, self._content):
            self._put_all(scanner.release())
        self._release()
        self._out += self._calls.end(cut=True)

    def _stop(self, stop: Stop) -> None:
        ended = stop.reason in ("stop", "tool_calls")
        self._finish(cut=not ended)
        if ended and self._pending:
            pending, self._pending = self._pending, []
            for hit in pending:
                if isinstance(hit, Hit):
                    self._make(hit)
            self._count("reasoning_calls")
        self._release()
        self._out += self._calls.end(cut=not ended)
        self._out += self._eaten(stop)
        self._out.append(self._mended(stop))

    def _eaten(self, stop: Stop) -> list[Delta]:
        thoughts = "".join(self._thoughts or ()).strip()
        self._thoughts = None
        short = stop.reason == "length" and len(thoughts) <= _SMALL and not self._has_tools
        if not thoughts or self._spoken or self._calls.count or not (short or stop.reason == "stop"):
            return []
        self._count("eaten")
        return [Text(thoughts)]

    def _mended(self, stop: Stop) -> Stop:
        """The reason why an answer ended, as clients that run tools must hear it."""
        if "stop_reason" in self._off:
            return stop
        reason = stop.reason
        if self._calls.count and (reason == "stop" or (reason == "length" and self._called)):
            reason = "tool_calls"
        elif reason == "tool_calls" and not self._calls.count:
            reason = "stop"
        if reason == stop.reason:
            return stop
        self._count("stop_reason")
        return Stop(reason)

    def _count(self, kind: str) -> None:
        self._rescued[kind] = self._rescued.get(kind, 0) + 1
