"""What OpenAI is sent for other protocols' clients, and what they get of its streams: see tests/golden/openai."""

import json
from pathlib import Path

import msgspec
import pytest

from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.ir import Meta, Request, Translated
from controlplane.protocols.ollama import OllamaChatSurface
from controlplane.protocols.responses_decoder import ResponsesDecoder
from controlplane.protocols.responses_dialect import render_request
from tests.simulators.openai_models import encrypted
from tests.simulators.openai_rules import refusals

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
OPENAI = GOLDEN / "openai"
SURFACES: dict[str, Translated] = {
    "messages.sse": MessagesSurface(),
    "ollama.ndjson": OllamaChatSurface(),
    "chat.sse": TranslatedChat(),
}
META, ASKED = Meta("9f", "asked", 1_760_000_000), Request("asked", (), wants_usage=True)
KNOWN = {encrypted("known"): "known"}


def asked(name: str) -> Request:
    """A client's request; those of Messages stand with their surface."""
    if name.startswith("ollama-"):
        return OllamaChatSurface().request((OPENAI / "requests" / f"{name}.json").read_bytes())
    return MessagesSurface().request((GOLDEN / "messages" / "requests" / f"{name}.json").read_bytes())


def rendered(name: str) -> bytes:
    body = render_request(asked(name), model="gpt-5.5", stream=True)
    return msgspec.json.format(body, indent=1) + b"\n"


def told(case: str, surface: Translated) -> bytes:
    decoder, encoder = ResponsesDecoder(), surface.encoder(ASKED, META)
    written = encoder.feed(())
    for line in (OPENAI / "streams" / f"{case}.vendor.sse").read_bytes().splitlines(keepends=True):
        written += encoder.feed(decoder.feed(line))
    return written + encoder.feed(decoder.end()) + encoder.end()


@pytest.mark.parametrize("kept", sorted(OPENAI.glob("requests/*.sent.json")), ids=lambda path: path.stem)
def test_a_request_is_sent_as_it_is_kept_and_is_taken(kept: Path):
    assert rendered(kept.name.removesuffix(".sent.json")) == kept.read_bytes()
    assert list(refusals("/v1/responses", json.loads(kept.read_bytes()), KNOWN)) == []


@pytest.mark.parametrize("form", SURFACES)
@pytest.mark.parametrize("case", sorted(path.name[:-11] for path in OPENAI.glob("streams/*.vendor.sse")))
def test_a_stream_reaches_the_client_as_it_is_kept(case: str, form: str):
    assert told(case, SURFACES[form]) == (OPENAI / "streams" / f"{case}.{form}").read_bytes()


def test_there_are_cases():
    assert len(list(OPENAI.glob("requests/*.sent.json"))) > 5
    assert len(list(OPENAI.glob("streams/*.vendor.sse"))) > 5
