"""What Codex and the SDKs really send, and whole streams, byte for byte."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.protocols.base import Usage
from controlplane.protocols.chat_decoder import ChatDecoder
from controlplane.protocols.ir import (
    Counted,
    Delta,
    Failure,
    Meta,
    Progress,
    Reasoning,
    Request,
    Stop,
    Text,
    ToolArgs,
    ToolStart,
)
from flockpy.errors import EngineDied
from tests.unit.controlplane.protocols.deltas import answers, chat_sse, cuts
from tests.unit.controlplane.protocols.responses_asked import FILES, PATCH, READ, SURFACE, read

GOLDEN = Path(__file__).resolve().parents[3] / "golden"
RECORDED = sorted(
    path.relative_to(GOLDEN / "clients").as_posix()
    for path in (GOLDEN / "clients").glob("*/*.json")
    if json.loads(path.read_bytes())["path"] == "/v1/responses"
)
LOST = {"description", "item_reference", "tool_search", "verbosity", "web_search"}
"""All that is lost: what a vendor's servers would do or remember, and what Codex's namespaces are for."""

STREAMS: dict[str, list[Delta]] = {
    "turn": [
        Progress(5, 10),
        Reasoning("Look"),
        Reasoning(" first.", "c2ln"),
        Text("I "),
        Text("look.\n"),
        ToolStart(0, "call_a", "read"),
        ToolStart(1, "", "mcp__files__read"),
        ToolArgs(1, '{"path":'),
        ToolArgs(0, "{}"),
        ToolArgs(1, '"b"}'),
        ToolStart(2, "call_c", "apply_patch"),
        ToolArgs(2, '{"input":"*** Begin'),
        ToolArgs(2, ' Patch\\n"}'),
        Stop("tool_calls"),
        Counted(Usage(100, 20, 50)),
    ],
    "cut": [Text("Half an ans"), Stop("length"), Counted(Usage(10, 3))],
    "failed": [Text("Half"), Failure(EngineDied("the engine broke off"))],
}


def body(client: str) -> bytes:
    return json.dumps(json.loads((GOLDEN / "clients" / client).read_bytes())["body"]).encode()


def neutral(request: Request) -> Any:
    """The request as JSON, without what this protocol does not know."""
    said = json.loads(msgspec.json.encode(request))
    for tool in said["tools"]:
        del tool["eager"]
    return {name: said[name] for name in said if name not in ("raw", "wants_usage", "seed", "top_k", "stop")}


def golden(name: str) -> bytes:
    return (GOLDEN / "responses" / name).read_bytes()


@pytest.mark.parametrize("client", RECORDED)
def test_recorded_requests_lose_nothing_but_what_only_a_vendor_can_do(client: str):
    request = SURFACE.request(body(client))
    assert {name.rpartition(".")[2] for name in request.dropped} <= LOST
    assert len({tool.name for tool in request.tools}) == len(request.tools)


@pytest.mark.parametrize("name", ["codex/gpt-2", "codex/parallel-2", "codex/picture-2"])
def test_what_codex_sends_becomes_this_in_the_neutral_form(name: str):
    expected = golden(f"{name.replace('/', '-')}.neutral.json")
    assert neutral(SURFACE.request(body(f"{name}.json"))) == json.loads(expected)


def test_a_request_of_every_shape_becomes_this_in_the_neutral_form():
    request = SURFACE.request(golden("everything.request.json"))
    assert neutral(request) == json.loads(golden("everything.neutral.json"))


@pytest.mark.parametrize("name", STREAMS)
def test_streams_stay_as_they_are(name: str):
    encoder = SURFACE.encoder(read(tools=[FILES, PATCH, READ]), Meta("9f", "qwen", 1760000000, 7))
    stream = b"".join(encoder.feed([delta]) for delta in STREAMS[name]) + encoder.end()
    assert stream == golden(f"{name}.sse")


@settings(max_examples=40)
@given(answers(empty_calls=True), st.data())
def test_the_stream_of_an_engine_cut_anywhere_is_the_same_answer(deltas: list[Delta], data: st.DataObject):
    asked = read(tools=[FILES, PATCH, READ])
    endings: set[bytes] = set()
    stream = chat_sse(deltas)
    for pieces in ([stream], data.draw(cuts(stream))):
        decoder, encoder = ChatDecoder(), SURFACE.encoder(asked, Meta("9f", "qwen", 1760000000))
        out = b"".join(encoder.feed(decoder.feed(piece)) for piece in pieces)
        endings.add(out + encoder.feed(decoder.end()) + encoder.end())
    assert len(endings) == 1
