"""Engines' streams, as they are kept for the chat surface, and what a client of Ollama's API gets of each."""

from pathlib import Path

import pytest

from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.ir import Failure, Meta, Request, Translated, fold
from controlplane.protocols.ollama import OllamaChatSurface, OllamaGenerateSurface

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
SURFACES: dict[str, Translated] = {"chat": OllamaChatSurface(), "generate": OllamaGenerateSurface()}
CASES = sorted(path.name.removesuffix(".ndjson") for path in (GOLDEN / "ollama").glob("*.ndjson"))
ASKED, META = Request("asked", ()), Meta("req_1", "asked", 1_760_000_000)


@pytest.mark.parametrize("case", CASES)
def test_a_client_gets_what_the_file_says(case: str) -> None:
    engine, _, route = case.rpartition(".")
    surface, decoder = SURFACES[route], ChatDecoder()
    stream = (GOLDEN / "chat" / f"{engine}.engine.sse").read_bytes()
    deltas = [*decoder.feed(stream), *decoder.end()]
    encoder = surface.encoder(ASKED, META)
    assert encoder.feed(deltas) + encoder.end() == (GOLDEN / "ollama" / f"{case}.ndjson").read_bytes()
    answer = GOLDEN / "ollama" / f"{case}.json"
    assert answer.exists() == (not isinstance(deltas[-1], Failure))
    if answer.exists():
        assert surface.render(ASKED, fold(deltas), META) + b"\n" == answer.read_bytes()


def test_there_are_cases() -> None:
    assert {case.rpartition(".")[2] for case in CASES} == set(SURFACES)
