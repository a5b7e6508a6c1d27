"""An answer ends where a stop sequence is complete, however it comes in."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.protocols.base import Usage
from controlplane.protocols.ir import Counted, Delta, Failure, Reasoning, Stop, Text, ToolStart, fold
from controlplane.protocols.stop_sequences import StopSequences
from flockpy.errors import EngineDied

USED = Counted(Usage(3, 9))


class Told:
    """Reads what it was made with: a piece for each byte it is fed."""

    def __init__(self, deltas: list[Delta]) -> None:
        self._deltas = deltas

    def feed(self, data: bytes) -> list[Delta]:
        return [self._deltas.pop(0) for _ in data]

    def end(self) -> list[Delta]:
        return self._deltas

    def whole(self, body: bytes) -> list[Delta]:
        return self._deltas


def cut(deltas: list[Delta], *sequences: str, fed: int = 0) -> list[Delta]:
    reader = StopSequences(Told(list(deltas)), sequences)
    return [delta for _ in range(fed) for delta in reader.feed(b"x")] + reader.end()


@given(st.text("ab\n", max_size=12), st.lists(st.text("ab\n", min_size=1, max_size=3), max_size=3), st.data())
def test_it_does_not_matter_how_the_text_is_cut(text: str, sequences: list[str], data: st.DataObject):
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [Text(text[a:b]) for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    told = fold(cut([*pieces, Stop("stop"), USED], *sequences, fed=len(pieces)))
    assert told == fold(cut([Text(text), Stop("stop"), USED], *sequences))
    assert told.usage == USED.usage and told.stop is not None
    met = told.stop.sequence
    assert text.startswith(told.text + met)
    assert not any(sequence in told.text for sequence in sequences)
    assert (told.stop.reason == "stop_sequence") is any(sequence in text for sequence in sequences)


def test_what_comes_after_is_not_told_but_its_count_is():
    deltas = [Text("one EN"), Text("D two"), ToolStart(0, "c", "ls"), USED, Stop("tool_calls")]
    died = Failure(EngineDied("broke off"))
    assert cut([*deltas, died], "END") == [Text("one "), Stop("stop_sequence", "END"), USED]


def test_what_might_have_become_one_is_told_before_what_follows_it():
    deltas = [Text("one EN"), Reasoning("hm"), Text("D"), Stop("stop")]
    assert cut(deltas, "END") == [Text("one "), Text("EN"), Reasoning("hm"), Text("D"), Stop("stop")]
    assert cut([Text("one EN")], "END", fed=1) == [Text("one "), Text("EN")]
    assert cut(deltas) == deltas
