"""Each engine's dialect of chat/completions, as a file, and what its client gets."""

from pathlib import Path

import openai
import pytest

from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.chat_encoder import ChatEncoder, render
from controlplane.protocols.ir import Delta, Failure, Meta, fold
from tests.unit.controlplane.protocols.deltas import every_byte
from tests.unit.controlplane.protocols.openai_client import accumulated, completed, told

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "chat"
CASES = sorted(path.name.removesuffix(".engine.sse") for path in GOLDEN.glob("*.engine.sse"))
META = Meta("req_1", "asked", 1_760_000_000)


def decoded(pieces: list[bytes]) -> list[Delta]:
    decoder = ChatDecoder()
    return [delta for piece in pieces for delta in decoder.feed(piece)] + decoder.end()


def stream_of(deltas: list[Delta]) -> bytes:
    encoder = ChatEncoder(META, include_usage=True)
    return encoder.feed(deltas) + encoder.end()


@pytest.mark.parametrize("case", CASES)
def test_a_client_gets_what_the_file_says(case: str):
    deltas = decoded([(GOLDEN / f"{case}.engine.sse").read_bytes()])
    assert stream_of(deltas) == (GOLDEN / f"{case}.client.sse").read_bytes()
    answer = GOLDEN / f"{case}.answer.json"
    assert answer.exists() == (not isinstance(deltas[-1], Failure))
    if answer.exists():
        assert render(fold(deltas), META) == answer.read_bytes().rstrip()


@pytest.mark.parametrize("case", CASES)
def test_it_does_not_matter_where_it_is_cut(case: str):
    stream = (GOLDEN / f"{case}.engine.sse").read_bytes()
    assert stream_of(decoded(every_byte(stream))) == (GOLDEN / f"{case}.client.sse").read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_the_official_client_reads_the_same_streamed_and_whole(case: str):
    stream, answer = (GOLDEN / f"{case}.client.sse").read_bytes(), GOLDEN / f"{case}.answer.json"
    if answer.exists():
        assert told(accumulated(stream)) == told(completed(answer.read_bytes()))
    else:
        with pytest.raises(openai.APIError, match="the engine broke off"):
            accumulated(stream)
