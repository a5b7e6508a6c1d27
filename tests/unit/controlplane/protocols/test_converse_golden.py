"""Requests and streams of Bedrock's Converse, byte for byte as they are kept in tests/golden/converse."""

from pathlib import Path

import msgspec
import pytest

from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.converse_decoder import ConverseDecoder
from controlplane.protocols.converse_dialect import render_request
from controlplane.protocols.ir import Failure, Meta, Request, fold
from tests.simulators.bedrock_rules import converse_complaints

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "converse"
SURFACE = MessagesSurface()
REQUEST, META = Request("m", ()), Meta("9f", "m", 1760000000, prompt_tokens=7)
FAMILIES = {
    "nova": "amazon.nova-lite-v1:0",
    "llama": "us.meta.llama3-3-70b-instruct-v1:0",
}
CASES = sorted(path.stem for path in GOLDEN.glob("requests/*.json") if "." not in path.stem)
STREAMS = sorted(GOLDEN.glob("streams/*.vendor.sse"))


def posted(name: str, family: str) -> bytes:
    request = SURFACE.request((GOLDEN / "requests" / f"{name}.json").read_bytes())
    body = render_request(request, model=FAMILIES[family])
    assert converse_complaints(FAMILIES[family], msgspec.json.decode(body)) == []
    return msgspec.json.format(body, indent=1) + b"\n"


def told(vendor: Path) -> tuple[bytes, bytes]:
    """What a client gets of a stream, and one that asked for none: of an answer that failed, the error."""
    decoder, encoder = ConverseDecoder(), SURFACE.encoder(REQUEST, META)
    deltas = decoder.feed(vendor.read_bytes()) + decoder.end()
    failed = [delta.error for delta in deltas if isinstance(delta, Failure)]
    body = SURFACE.error(failed[0]) if failed else SURFACE.render(REQUEST, fold(deltas), META)
    return encoder.feed(deltas) + encoder.end(), msgspec.json.format(body, indent=1) + b"\n"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CASES)
def test_a_request_is_posted_as_it_is_kept(name: str, family: str):
    assert posted(name, family) == (GOLDEN / "requests" / f"{name}.{family}.json").read_bytes()


@pytest.mark.parametrize("vendor", STREAMS, ids=lambda path: path.stem)
def test_a_stream_reaches_the_client_as_it_is_kept(vendor: Path):
    name = vendor.name.removesuffix(".vendor.sse")
    kept = [vendor.with_name(f"{name}.client.{form}").read_bytes() for form in ("sse", "json")]
    assert [*told(vendor)] == kept


def test_the_cases_are_there():
    assert CASES
    assert STREAMS
