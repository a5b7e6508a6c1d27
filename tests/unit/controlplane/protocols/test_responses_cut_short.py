"""How a Responses stream that somebody else began is ended by an error."""

import json

import pytest

from controlplane.protocols.responses import cut_short
from flockpy.errors import ContextTooLong, EngineDied

BEGUN = {
    "id": "resp_1",
    "object": "response",
    "status": "in_progress",
    "output": [],
    "model": "m",
    "error": None,
}
CREATED = {"type": "response.created", "sequence_number": 0, "response": BEGUN}
DELTA = {"type": "response.output_text.delta", "sequence_number": 7, "delta": '"sequence_number":99'}


def sse(event: object) -> bytes:
    return f"event: x\ndata: {json.dumps(event)}\n\n".encode()


def told(said: bytes) -> list[dict]:
    blank, *events, end = said.split(b"\n\n")
    assert (blank, end) == (b"", b"")
    pairs = [event.split(b"\n") for event in events]
    read = [json.loads(data.removeprefix(b"data: ")) for _, data in pairs]
    assert [name for name, _ in pairs] == [f"event: {event['type']}".encode() for event in read]
    return read


def test_the_response_that_began_has_failed():
    last = sse(DELTA)
    error, failed = told(cut_short(sse(CREATED) + last, last, EngineDied("it broke", retry_after=1)))
    assert (error["type"], error["sequence_number"]) == ("error", 8)
    assert (failed["type"], failed["sequence_number"]) == ("response.failed", 9)
    assert failed["response"] == {**BEGUN, "status": "failed", "error": failed["response"]["error"]}
    for why in (error, error["error"], failed["response"]["error"]):
        assert why["code"] == "rate_limit_exceeded"
        assert "it broke" in why["message"]


def test_what_cannot_succeed_later_is_told_so():
    _, failed = told(cut_short(sse(CREATED), sse(CREATED), ContextTooLong("too long")))
    assert failed["response"]["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    "first", [b"", b"data: [1]\n\n", b"data: {", sse(DELTA), sse({"type": "response.created"})]
)
def test_one_that_never_said_its_id_ends_with_an_error_alone(first: bytes):
    assert [event["type"] for event in told(cut_short(first, first, EngineDied("it broke")))] == ["error"]
