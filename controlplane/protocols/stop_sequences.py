"""Stop sequences for upstreams whose protocol has none: the answer ends where the first of them is complete. Pure.

What the upstream goes on to say is not told, but counted: it wrote it.
"""

from collections.abc import Iterable

from controlplane.protocols.ir import Counted, Delta, Reader, Stop, Text


class StopSequences:
    """Reads what another reads, up to the first of `sequences`. Text that may still become one waits for its rest."""

    def __init__(self, inner: Reader, sequences: tuple[str, ...]) -> None:
        self._inner = inner
        self._sequences = tuple(sequence for sequence in sequences if sequence)
        self._held = ""
        self._met = False

    def feed(self, data: bytes) -> list[Delta]:
        return self._through(self._inner.feed(data))

    def end(self) -> list[Delta]:
        return self._through(self._inner.end()) + self._let_go()

    def whole(self, body: bytes) -> list[Delta]:
        return self._through(self._inner.whole(body)) + self._let_go()

    def _through(self, deltas: list[Delta]) -> list[Delta]:
        return list(self._cut(deltas)) if self._sequences else deltas

    def _cut(self, deltas: Iterable[Delta]) -> Iterable[Delta]:
        for delta in deltas:
            if isinstance(delta, Counted):
                yield delta
            elif self._met:
                continue
            elif isinstance(delta, Text):
                yield from self._text(delta.text)
            else:
                yield from self._let_go()
                yield delta

    def _text(self, piece: str) -> Iterable[Delta]:
        text, self._held = self._held + piece, ""
        found = [(at + len(s), at, s) for s in self._sequences if (at := text.find(s)) >= 0]
        if found:
            _, at, sequence = min(found)
            self._met = True
            yield from _said(text[:at])
            yield Stop("stop_sequence", sequence)
            return
        begun = max(_begun(text, sequence) for sequence in self._sequences)
        self._held = text[len(text) - begun :]
        yield from _said(text[: len(text) - begun])

    def _let_go(self) -> list[Delta]:
        held, self._held = self._held, ""
        return _said(held)


def _said(text: str) -> list[Delta]:
    return [Text(text)] if text else []


def _begun(text: str, sequence: str) -> int:
    """How many of the last characters of `text` begin `sequence`."""
    return next((n for n in range(len(sequence) - 1, 0, -1) if text.endswith(sequence[:n])), 0)
