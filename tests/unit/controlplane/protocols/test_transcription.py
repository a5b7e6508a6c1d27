"""The form of a transcription: written by real clients, read without its file, passed on as it came."""

import json
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP

import httpx
import httpx2
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.protocols.base import Surface, Usage
from controlplane.protocols.transcription import TranscriptionSurface
from controlplane.routing.resolve import Wanted
from flockpy.errors import BadRequest, EngineDied

SURFACE = TranscriptionSurface()
AUDIO = b"RIFF\r\n--\x00\xff" * 50_000 + b"\r\n--"


def form(audio: bytes = AUDIO, /, **fields: str) -> bytes:
    request = httpx.Request("POST", "http://x/", data=fields, files={"file": ("a.wav", audio, "audio/wav")})
    return request.read()


def read(content_type: bytes, body: bytes) -> dict[str, object]:
    """The form as an engine would read it: another reader than ours, the standard library's."""
    message = BytesParser(policy=HTTP).parsebytes(b"content-type: " + content_type + b"\r\n\r\n" + body)
    assert isinstance(message, EmailMessage)
    parts = {part.get_param("name", header="content-disposition"): part for part in message.iter_parts()}
    return {str(name): part.get_payload(decode=True) for name, part in parts.items()}


def test_it_is_a_surface() -> None:
    surface: Surface = SURFACE
    assert (surface.name, surface.capability) == ("transcriptions", "transcription")
    assert surface.wanted(surface.parse(form())) == Wanted("transcription")
    assert surface.explain(b"", ("chat",))
    assert surface.explain(b"", ("transcription",)) is None


def test_what_the_official_client_sends_is_read() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        request.read()
        seen.append(request)
        return httpx2.Response(200, json={"text": "hi"})

    with httpx2.Client(transport=httpx2.MockTransport(answer)) as http:
        client = openai.OpenAI(api_key="k", base_url="http://leader/v1", http_client=http)
        file = ("a.wav", AUDIO, "audio/wav")
        client.audio.transcriptions.create(
            model="whisper", file=file, response_format="json", stream=True, language="de"
        )
    [request] = seen
    inbound = SURFACE.parse(request.content)
    assert (inbound.model, inbound.stream, inbound.response_format) == ("whisper", True, "json")
    assert SURFACE.content_type(inbound).replace(b'"', b"") == request.headers["content-type"].encode()
    assert SURFACE.engine_body(inbound, request.content, "whisper") is request.content


@pytest.mark.parametrize(
    "fields", [{}, {"model": "m"}, {"model": "", "language": "de"}, {"zz": "1", "model": "ü" * 99}]
)
def test_another_name_for_the_model_leaves_the_rest_as_it_is(fields: dict[str, str]) -> None:
    body = form(**fields)
    inbound = SURFACE.parse(body)
    assert inbound.model == fields.get("model", "")
    sent = SURFACE.engine_body(inbound, body, "org/theirs")
    expected = {name: value.encode() for name, value in fields.items()}
    assert read(SURFACE.content_type(inbound), sent) == {**expected, "model": b"org/theirs", "file": AUDIO}
    assert SURFACE.parse(sent).model == "org/theirs"


@settings(max_examples=40)
@given(audio=st.binary(max_size=200), model=st.text(st.characters(codec="utf-8"), max_size=20))
def test_any_model_and_file_are_read_and_renamed(audio: bytes, model: str) -> None:
    body = form(audio, model=model)
    inbound = SURFACE.parse(body)
    assert inbound.model == model
    sent = SURFACE.engine_body(inbound, body, "theirs")
    assert read(SURFACE.content_type(inbound), sent) == {"model": b"theirs", "file": audio}


def test_a_part_that_tells_its_length_may_be_renamed() -> None:
    model = b'--b\r\nContent-Disposition: form-data; name="model"\r\nContent-Length: 1\r\n\r\nm\r\n'
    body = model + b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    sent = SURFACE.engine_body(SURFACE.parse(body), body, "theirs")
    assert read(b"multipart/form-data; boundary=b", sent) == {"model": b"theirs", "file": b"x"}


def part(name: str, value: str) -> str:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "body"),
        ('{"model": "m"}', "body"),
        ("--b", "body"),
        ("--\r\n", "body"),
        ("--b\r\n", "body"),
        ("--b\r\nnon sense\r\n--b--\r\n", "body"),
        (part("file", "x"), "body"),
        (part("model", "m") + "--b--\r\n", "file"),
        (part("file", "x") + part("model", "m") + part("model", "n") + "--b--\r\n", "model"),
        (part("file", "x") + part("model", "m" * 5000) + "--b--\r\n", "model"),
        (part("zz", "x") * 101 + "--b--\r\n", "body"),
    ],
    ids=lambda value: value[:20],
)
def test_what_is_no_such_form_is_refused_and_named(body: str, field: str) -> None:
    with pytest.raises(BadRequest) as refused:
        SURFACE.parse(body.encode())
    assert refused.value.field == field


def test_a_model_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadRequest) as refused:
        SURFACE.parse((part("file", "x") + part("model", "@") + "--b--\r\n").encode().replace(b"@", b"\xff"))
    assert refused.value.field == "model"


@pytest.mark.parametrize("said", ["true", "True", "1", "false", "0", ""])
def test_streams_are_asked_for_in_text(said: str) -> None:
    assert SURFACE.parse(form(stream=said)).stream is (said in ("true", "True", "1"))


STREAM = b"""data: {"type":"transcript.text.delta","delta":"I see "}

data: {"type":"transcript.text.done","text":"I see","usage":{"input_tokens":14,"output_tokens":45,"type":"tokens"}}

data: [DONE]

"""


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        (b'{"text":"x","usage":{"type":"tokens","input_tokens":3,"output_tokens":4}}', Usage(3, 4)),
        (b'{"text":"x"}', None),
        (STREAM, Usage(14, 45)),
        (STREAM.replace(b"\n", b"\r\n"), Usage(14, 45)),
        (STREAM[:90], None),
        (b"WEBVTT", None),
        (b"\xff", None),
    ],
)
def test_usage_is_read_where_there_is_some(answer: bytes, usage: Usage | None) -> None:
    assert SURFACE.usage(answer) == usage


def test_a_stream_is_kept_alive_and_ended_as_openais_client_reads_it() -> None:
    kept = json.loads(SURFACE.keep_alive("r", "m", 1).removeprefix(b"data: "))
    assert kept == {"type": "transcript.text.delta", "delta": ""}
    ended = json.loads(SURFACE.stream_error(EngineDied("gone")).strip().removeprefix(b"data: "))
    assert ended["error"]["code"] == "engine_died"
