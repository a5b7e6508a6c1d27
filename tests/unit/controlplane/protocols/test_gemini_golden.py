"""Requests and streams of Gemini, byte for byte as they are kept in tests/golden/gemini."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.chat_surface import TranslatedChat
from controlplane.protocols.gemini_decoder import GeminiDecoder
from controlplane.protocols.gemini_dialect import render_request
from controlplane.protocols.ir import Meta, Request, Translated
from controlplane.protocols.responses import ResponsesSurface

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
SURFACES: dict[str, Translated] = {
    "chat": TranslatedChat(),
    "messages": MessagesSurface(),
    "responses": ResponsesSurface(),
}
_READ: dict[str, Callable[[bytes], Request]] = {
    "/v1/chat/completions": SURFACES["chat"].request,
    "/v1/messages": SURFACES["messages"].request,
    "/v1/responses": SURFACES["responses"].request,
}


def rendered(kept: Path) -> bytes:
    """What the vendor is sent for the client's request and the model of that name."""
    client, name, model = kept.name.removesuffix(".json").split(".", 2)
    recorded = msgspec.json.decode((GOLDEN / "clients" / client / f"{name}.json").read_bytes())
    request = _READ[recorded["path"].partition("?")[0]](msgspec.json.encode(recorded["body"]))
    return msgspec.json.format(render_request(request, model=model), indent=1) + b"\n"


def streamed(vendor: Path, surface: Translated) -> bytes:
    request, meta = Request("m", (), wants_usage=True), Meta("9f", "m", 1760000000, prompt_tokens=7)
    decoder, encoder = GeminiDecoder(), surface.encoder(request, meta)
    written = encoder.feed(())
    for line in vendor.read_bytes().splitlines(keepends=True):
        written += encoder.feed(decoder.feed(line))
    return written + encoder.feed(decoder.end()) + encoder.end()


@pytest.mark.parametrize("kept", sorted(GOLDEN.glob("gemini/requests/*.json")), ids=lambda path: path.stem)
def test_a_request_is_put_as_it_is_kept(kept: Path):
    assert rendered(kept) == kept.read_bytes()


@pytest.mark.parametrize("surface", sorted(SURFACES))
@pytest.mark.parametrize(
    "vendor", sorted(GOLDEN.glob("gemini/streams/*.vertex.sse")), ids=lambda path: path.stem
)
def test_a_vendors_stream_reaches_the_client_as_it_is_kept(vendor: Path, surface: str):
    kept = vendor.with_name(vendor.name.replace(".vertex.", f".{surface}."))
    assert streamed(vendor, SURFACES[surface]) == kept.read_bytes()
