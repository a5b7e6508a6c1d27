"""Requests and streams of the Messages protocol, byte for byte as they are kept in tests/golden/messages."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from controlplane.protocols.anthropic import MessagesSurface
from controlplane.protocols.anthropic_decoder import MessagesDecoder
from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.ir import Decoder, Failure, Meta, Request, fold

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "messages"
SURFACE = MessagesSurface()
REQUEST, META = Request("local", ()), Meta("9f", "local", 1760000000, prompt_tokens=7)


def told(value: Any) -> Any:
    """A neutral value as JSON has it, without what is as it is by default."""
    match value:
        case msgspec.Struct():
            fields = ((field, getattr(value, field.name)) for field in msgspec.structs.fields(value))
            said = {field.name: told(value) for field, value in fields if value != field.default}
            return {"is": type(value).__name__, **said}
        case tuple():
            return [told(each) for each in value]
        case msgspec.Raw():
            return json.loads(bytes(value))
        case _:
            return value


def read(request: Path) -> bytes:
    """A client's body in the neutral form."""
    return json.dumps(told(SURFACE.request(request.read_bytes())), indent=1).encode() + b"\n"


def decoder_for(engine: Path) -> Decoder:
    return MessagesDecoder() if engine.name.startswith("native-") else ChatDecoder()


def streamed(engine: Path) -> bytes:
    """What a client gets of an engine's stream."""
    decoder, encoder = decoder_for(engine), SURFACE.encoder(REQUEST, META)
    written = encoder.feed(()) + encoder.keep_alive(10)
    for line in engine.read_bytes().splitlines(keepends=True):
        written += encoder.feed(decoder.feed(line))
    return written + encoder.feed(decoder.end()) + encoder.end()


def whole(engine: Path) -> bytes:
    """The same, to a client that asked for no stream; of an answer that failed: the error."""
    decoder = decoder_for(engine)
    deltas = decoder.feed(engine.read_bytes()) + decoder.end()
    failed = [delta.error for delta in deltas if isinstance(delta, Failure)]
    body = SURFACE.error(failed[0]) if failed else SURFACE.render(REQUEST, fold(deltas), META)
    return msgspec.json.format(body, indent=1) + b"\n"


@pytest.mark.parametrize("kept", sorted(GOLDEN.glob("requests/*.read.json")), ids=lambda path: path.stem)
def test_a_request_is_read_as_it_is_kept(kept: Path):
    assert read(kept.with_name(kept.name.replace(".read.json", ".json"))) == kept.read_bytes()


@pytest.mark.parametrize("engine", sorted(GOLDEN.glob("streams/*.engine.sse")), ids=lambda path: path.stem)
def test_an_engines_stream_reaches_the_client_as_it_is_kept(engine: Path):
    name = engine.name.removesuffix(".engine.sse")
    assert streamed(engine) == engine.with_name(f"{name}.client.sse").read_bytes()
    assert whole(engine) == engine.with_name(f"{name}.client.json").read_bytes()
