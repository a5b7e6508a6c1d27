"""Looks for formats in a text that comes in pieces, and holds back only what could still become one. Pure.

What it answers depends on the text alone, never on where it was cut: nothing is decided before every continuation of
the text would decide it the same way.
"""

from dataclasses import dataclass

from controlplane.protocols.ir import Reasoning, Text
from controlplane.protocols.rescue.base import ANY, MORE, Format, Found, More, Place, Reader, begins
from controlplane.protocols.rescue.lexicon import Lexicon
from controlplane.protocols.rescue.markdown import Markdown
from controlplane.protocols.rescue.offered import Offered

_TRIES = 16
"""How many candidates are tried at the end of an answer; the rest of one that has more is text."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A format that was found: `raw` is what stood there, `thinking`: in reasoning."""

    kind: str
    raw: str
    found: Found
    thinking: bool


Piece = Text | Reasoning | Hit


class Scanner:
    """Reads one stream of text: an engine's content, or the reasoning that it has told apart.

    `thinking`: what comes now is reasoning. `whole`: what stands before an orphan can still be made reasoning, so that
    the text begins after it.
    """

    def __init__(self, lexicon: Lexicon, offered: Offered, thinking: bool, whole: bool) -> None:
        self.thinking = thinking
        self._whole = whole
        self._offered = offered
        self._lexicon = lexicon
        self._marks = lexicon.marks
        self._hot = lexicon.first
        self._markdown = Markdown()
        self._blank = True  # no text but white space yet
        self._swallow = False  # white space that comes now belongs to the tag before it
        self._seen: set[str] = set()
        self._held: list[str] = []
        self._wake = ANY
        self._candidates: list[tuple[Format, Reader]] = []
        self._waiting: Found | None = None  # for what follows it
        self._place = Place(True, True, thinking)
        self._texts: list[str] = []

    @property
    def busy(self) -> bool:
        """Whether something is held back."""
        return bool(self._held)

    def quiet(self, text: str) -> bool:
        """The common case: nothing is held back and nothing can begin in `text`, which may go on as it is."""
        if self._held or self._swallow or (self._marks.search(text) and self._hot.search(text)):
            return False
        self._markdown.read(text)
        if self._blank and not self.thinking and text.strip():
            self._speak()
        return True

    def feed(self, text: str) -> list[Piece]:
        """What `text` completes."""
        if self._held:
            self._held.append(text)
            if not self._wake.search(text):
                return []
            text = "".join(self._held)
            self._held.clear()
        return self._scan(text, final=False, cut=False)

    def finish(self, cut: bool) -> list[Piece]:
        """Nothing more comes; `cut`: because the model was stopped."""
        text = "".join(self._held)
        self._held.clear()
        return self._scan(text, final=True, cut=cut)

    def release(self) -> list[Piece]:
        """What was held back, as plain text."""
        text = "".join(self._held)
        self._held.clear()
        self._candidates.clear()
        self._waiting = None
        out: list[Piece] = []
        self._emit(text)
        self._flush(out)
        return out

    def _scan(self, text: str, final: bool, cut: bool) -> list[Piece]:
        out: list[Piece] = []
        at = tries = 0
        while at < len(text):
            if not self._candidates:
                text = text[self._to_mark(text, at) :]
                at = 0
                if text and self._open(text, final) is MORE:
                    self._held.append(text)
                    self._wake = ANY
                    break
                if not text:
                    break
            body = text[at:]
            hit = self._read(body, final, cut)
            if hit is MORE:
                self._held.append(body)
                break
            if hit is None:
                tries += final
                length = 1 if tries < _TRIES else len(body)
                self._emit(body[:length])
                at += length
            else:
                self._flush(out)
                out.append(hit)
                self._after(hit)
                at += hit.found.end
        self._flush(out)
        return out

    def _to_mark(self, text: str, at: int) -> int:
        """Let everything pass in which nothing begins; answers where something may."""
        text = text[at:]
        mark = self._hot.search(text)
        stop = mark.start(mark.lastindex or 0) if mark else len(text)
        self._emit(text[:stop])
        return at + stop

    def _open(self, text: str, final: bool) -> More | None:
        """Find the candidates that `text` begins with; MORE when it takes more text to know them."""
        might = False
        markdown = self._markdown
        self._place = place = Place(self._blank, markdown.line_start, self.thinking, markdown.quoted)
        for entry in self._lexicon.formats.get(text[0], ()):
            if not self._may_stand(entry, place):
                continue
            opener = begins(text, 0, entry.openers)
            if opener is MORE:
                might = True
            elif isinstance(opener, str):
                self._candidates.append((entry, entry.reader(self._offered, place, opener)))
        if might and not final:
            self._candidates.clear()
            return MORE
        return None

    def _may_stand(self, entry: Format, place: Place) -> bool:
        if (place.quoted and entry.kind != "think") or (entry.after and entry.after not in self._seen):
            return False
        if place.thinking and entry.calls and not entry.thoughts:
            return False
        return {"anywhere": True, "line": place.line, "answer": place.blank}[entry.where]

    def _read(self, body: str, final: bool, cut: bool) -> Hit | More | None:
        """Ask the candidates, one after the other."""
        while self._candidates:
            entry, reader = self._candidates[0]
            found = self._waiting or reader.read(body, final, cut)
            if isinstance(found, Found):
                allowed = self._tail(entry, found, body, final)
                if allowed is MORE:
                    self._waiting, self._wake = found, ANY
                    return MORE
                self._waiting = None
                if allowed:
                    self._candidates.clear()
                    return Hit(entry.kind, body[: found.end], found, self.thinking)
            elif found is MORE:
                self._wake = reader.wake
                return MORE
            self._candidates.pop(0)
        return None

    def _tail(self, entry: Format, found: Found, body: str, final: bool) -> bool | More:
        """Whether what follows lets it be a call, and not an example in prose."""
        if not found.calls or entry.tail == "free" or (entry.tail == "line" and self._place.line):
            return True
        rest = body[found.end :].lstrip(None if entry.tail == "last" else " \t")
        if not rest:
            return True if final else MORE
        return entry.tail == "line" and rest[0] in "\r\n<[&"

    def _after(self, hit: Hit) -> None:
        found = hit.found
        self._seen.add(hit.kind)
        self._markdown.begin_line(forget=found.thinking is not None)
        self._swallow = (found.bare or (found.orphan and self._whole)) and not (found.calls and hit.thinking)
        if found.thinking is not None:
            self.thinking = found.thinking
        if found.orphan:
            self._blank = True
        elif found.calls and not hit.thinking:
            self._speak()

    def _speak(self) -> None:
        self._blank = False
        self._hot = self._lexicon.later

    def _emit(self, text: str) -> None:
        if self._swallow:
            text = text.lstrip()
            self._swallow = not text
        if not text:
            return
        self._markdown.read(text)
        if self._blank and not self.thinking and text.strip():
            self._speak()
        self._texts.append(text)

    def _flush(self, out: list[Piece]) -> None:
        if self._texts:
            text = "".join(self._texts)
            out.append(Reasoning(text) if self.thinking else Text(text))
            self._texts.clear()
