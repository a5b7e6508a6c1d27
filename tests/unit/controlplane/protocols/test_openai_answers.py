"""What the OpenAI surfaces say of their own, as the official client reads it; and the usage they find in answers."""

import json
from collections.abc import Iterator

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from controlplane.protocols.base import Surface, Usage
from controlplane.protocols.openai_chat import ChatSurface, CompletionSurface, EmbeddingSurface
from flockpy.errors import (
    BadRequest,
    ContextTooLong,
    EngineDied,
    EngineUnreachable,
    FlockError,
    Forbidden,
    Overloaded,
    QuotaSpent,
    Unauthenticated,
    UnknownModel,
)
from tests.unit.controlplane.protocols.openai_client import client_of

CHAT, COMPLETION, EMBEDDING = ChatSurface(), CompletionSurface(), EmbeddingSurface()
WORD = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": "hi"}, "finish_reason": None}],
}
END = {**WORD, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def event(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunks(body: bytes) -> Iterator[ChatCompletionChunk]:
    return iter(client_of(body).chat.completions.create(model="m", messages=[], stream=True))


def test_a_keep_alive_is_a_chunk_that_says_nothing() -> None:
    quiet = CHAT.keep_alive("req_1", "m", 5)
    chunk = ChatCompletionChunk.model_validate_json(quiet.removeprefix(b"data: "))
    assert (chunk.id, chunk.model, chunk.created) == ("chatcmpl-req_1", "m", 5)
    assert chunk.choices[0].delta.model_dump(exclude_none=True) == {}
    assert chunk.choices[0].finish_reason is None


def test_keep_alives_anywhere_do_not_change_what_a_client_reads() -> None:
    quiet = CHAT.keep_alive("req_1", "m", 5)
    body = quiet + quiet + event(WORD) + quiet + event(WORD) + event(END) + b"data: [DONE]\n\n"
    read = list(chunks(body))
    assert len(read) == 6
    assert "".join(chunk.choices[0].delta.content or "" for chunk in read) == "hihi"
    assert [chunk.choices[0].finish_reason for chunk in read][-1] == "stop"
    with client_of(body).chat.completions.stream(model="m", messages=[]) as stream:
        assert stream.get_final_completion().choices[0].message.content == "hihi"


def test_a_completions_keep_alive_is_a_chunk_without_text() -> None:
    quiet = COMPLETION.keep_alive("req_1", "m", 5)
    word = {**json.loads(quiet[6:]), "choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]}
    client = client_of(quiet + event(word) + b"data: [DONE]\n\n")
    read = list(client.completions.create(model="m", prompt="x", stream=True))
    assert [completion.choices[0].text for completion in read] == ["", "hi"]
    assert read[0].id == "cmpl-req_1"


def test_embeddings_have_no_stream_to_keep_alive() -> None:
    assert EMBEDDING.keep_alive("req_1", "m", 5) == b""


@pytest.mark.parametrize("surface", [CHAT, COMPLETION, EMBEDDING], ids=lambda s: s.name)
@pytest.mark.parametrize(
    ("error", "raised", "kind"),
    [
        (BadRequest("n: no", field="n"), openai.BadRequestError, "invalid_request_error"),
        (ContextTooLong("too long"), openai.BadRequestError, "invalid_request_error"),
        (Unauthenticated("who?"), openai.AuthenticationError, "invalid_request_error"),
        (Forbidden("not you"), openai.PermissionDeniedError, "permission_error"),
        (UnknownModel("what?", field="model"), openai.NotFoundError, "invalid_request_error"),
        (QuotaSpent("spent"), openai.RateLimitError, "insufficient_quota"),
        (Overloaded("busy"), openai.InternalServerError, "server_error"),
        (EngineUnreachable("gone"), openai.InternalServerError, "server_error"),
        (EngineDied("died"), openai.InternalServerError, "server_error"),
    ],
    ids=lambda value: value.code if isinstance(value, FlockError) else "",
)
def test_an_error_is_what_the_official_client_expects(
    surface: Surface, error: FlockError, raised: type[openai.APIStatusError], kind: str
) -> None:
    client = client_of(surface.error(error), error.status)
    with pytest.raises(raised) as found:
        client.chat.completions.create(model="m", messages=[])
    assert (found.value.code, found.value.type, found.value.param) == (error.code, kind, error.field)
    assert error.message in found.value.message


def test_an_error_carries_what_mends_it() -> None:
    error = json.loads(CHAT.error(BadRequest("what is wrong", hint="flockpy model ls")))
    assert error["error"]["message"] == "what is wrong. flockpy model ls"


def test_an_error_in_a_stream_is_raised_by_the_official_client() -> None:
    """It ends the stream without the mark of a complete one."""
    broken = CHAT.stream_error(EngineDied("the engine broke off"))
    assert b"[DONE]" not in broken
    stream = chunks(event(WORD) + broken)
    assert next(stream).choices[0].delta.content == "hi"
    with pytest.raises(openai.APIError, match="the engine broke off"):
        next(stream)


def test_an_error_after_half_an_event_is_still_an_event_of_its_own() -> None:
    broken = CHAT.stream_error(EngineDied("the engine broke off"))
    stream = chunks(event(WORD) + b'data: {"choi' + broken)
    assert next(stream).choices[0].delta.content == "hi"
    with pytest.raises((openai.APIError, json.JSONDecodeError)):
        next(stream)
    assert (event(WORD) + b'data: {"choi' + broken).split(b"\n\n")[2].startswith(b'data: {"error"')


def test_any_text_in_an_error_is_valid_json() -> None:
    for text in ('"', "\n\0", "é☃", "\\"):
        assert json.loads(CHAT.error(BadRequest(text, field=text)))["error"]["message"] == text
        assert CHAT.stream_error(BadRequest(text)).strip().count(b"\n") == 0, (
            "one event, however many lines it speaks of"
        )


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}, Usage(3, 5, 0)),
        (
            {"prompt_tokens": 3, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 2}},
            Usage(3, 5, 2),
        ),
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(3, 0, 0)),
        ({"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": None}, Usage(3, 0, 0)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": None}}, Usage(3, 0, 0)),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 4}},
            Usage(9, 0, 2, cache_written_tokens=4),
        ),
        (
            {"prompt_tokens": -3, "completion_tokens": -5, "prompt_tokens_details": {"cached_tokens": -1}},
            Usage(0, 0, 0),
        ),
        ({}, Usage(0, 0, 0)),
        (None, None),
        ("lots", None),
        ({"prompt_tokens": "3"}, None),
        ({"prompt_tokens": 3.5}, None),
        ({"prompt_tokens": 2**40}, None),
        ({"prompt_tokens": 10**30}, None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("surface", [CHAT, COMPLETION, EMBEDDING], ids=lambda s: s.name)
def test_usage_is_found_or_not(surface: Surface, usage: object, expected: Usage | None) -> None:
    answer = {"id": "x", "choices": [{"usage": {"prompt_tokens": 99}}], "usage": usage, "timings": {}}
    assert surface.usage(json.dumps(answer).encode()) == expected


@pytest.mark.parametrize(
    "body", [b"", b"[DONE]", b"{", b"[]", b"\xff", b'{"choices":[]}', b'{"a":' * 100_000], ids=len
)
def test_what_is_no_answer_has_no_usage(body: bytes) -> None:
    assert CHAT.usage(body) is None


def test_usage_is_found_beside_text_that_is_no_utf8() -> None:
    """Engines cut characters in two; what they counted is still true."""
    assert CHAT.usage(b'{"choices":["\xff"],"usage":{"prompt_tokens":1}}') == Usage(1, 0)
