"""OpenAI's POST /v1/audio/transcriptions: a form with a file, which passes to the engine as it is. Pure.

Only the small fields are read. The boundary is what the body begins with, and the engine is told that one, so that it
cannot read another form out of the same bytes than was admitted here.
"""

import re
from typing import TYPE_CHECKING, Final, cast

import msgspec
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from controlplane.protocols.base import UNREADABLE, Inbound, Plain, Usage
from controlplane.protocols.openai_error import error_body
from controlplane.routing.resolve import Wanted
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, FlockError
from flockpy.placement import Capability

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST: Final = 4096
"""Bytes of a field that is read."""
_MOST_PARTS: Final = 100
_ALLOWED: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=?-]{1,70}")
"""What RFC 2046 allows in a boundary, but for spaces."""
_READ: Final = frozenset({"model", "response_format", "stream"})
_FORM_HINT: Final = "send multipart/form-data with a file"


class FormInbound(Inbound, frozen=True):
    """`boundary` of the form; `model_at`: where in the body the part that names the model stands, headers and all, None
    when there is none; `response_format` "" when the client did not say."""

    boundary: str = ""
    model_at: tuple[int, int] | None = None
    response_format: str = ""


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_ANSWER: Final = msgspec.json.Decoder(_Answer)
_COUNTS: Final = re.compile(rb"^data: ?(\{.*\"usage\".*\})\r?$", re.MULTILINE)


class TranscriptionSurface(Plain):
    name: SurfaceName = "transcriptions"
    capability: Capability = "transcription"
    engine_path = "/v1/audio/transcriptions"
    opaque = True

    def parse(self, body: bytes) -> FormInbound:
        boundary, form = _boundary(body), _Form()
        form.read(body, boundary)
        if not form.file:
            raise BadRequest("file: an audio file is required", field="file", hint=_FORM_HINT)
        return FormInbound(
            {},
            form.texts.get("model", ""),
            stream=form.texts.get("stream", "").lower() in ("true", "1"),
            max_tokens=0,
            boundary=boundary.decode("ascii"),
            model_at=form.model_at,
            response_format=form.texts.get("response_format", ""),
        )

    def content_type(self, inbound: Inbound) -> bytes:
        """With the boundary that was read here: by another the same bytes may be another form."""
        return f'multipart/form-data; boundary="{cast("FormInbound", inbound).boundary}"'.encode()

    def engine_body(self, inbound: Inbound, body: bytes, model: str) -> bytes:
        """The very same bytes when the client has the engine's name for the model."""
        form = cast("FormInbound", inbound)
        if form.model == model:
            return body
        part = b'Content-Disposition: form-data; name="model"\r\n\r\n' + model.encode()
        if form.model_at is not None:
            start, end = form.model_at
            return b"".join((memoryview(body)[:start], part, memoryview(body)[end:]))
        return b"".join((b"--", form.boundary.encode(), b"\r\n", part, b"\r\n", body))

    def wanted(self, inbound: Inbound) -> Wanted:
        return Wanted("transcription")

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        if "transcription" not in capabilities:
            return BadRequest("model: this model does not transcribe", field="model")
        return None

    def usage(self, body: bytes) -> Usage | None:
        """None for text, subtitles and models that are billed by the second. A stream, which is passed on in one
        piece, has it in its last event."""
        streamed = _COUNTS.findall(body) if body.startswith((b"data:", b"event:")) else []
        try:
            usage = _ANSWER.decode(streamed[-1] if streamed else body).usage
        except UNREADABLE:
            return None
        return None if usage is None else Usage(max(usage.input_tokens, 0), max(usage.output_tokens, 0))

    def error(self, error: FlockError) -> bytes:
        return error_body(error)

    def stream_error(self, error: FlockError) -> bytes:
        return b"\n\ndata: " + self.error(error) + b"\n\n"

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        return b'data: {"type":"transcript.text.delta","delta":""}\n\n'


class _Form:
    """Takes a form in, whole and at once, so that every place the parser speaks of is one in the body."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.file = False
        self.model_at: tuple[int, int] | None = None
        self._parts = 0
        self._header = b""
        self._name = ""
        self._start = self._data = self._end = -1
        self._ended = False

    def read(self, body: bytes, boundary: bytes) -> None:
        """Raises BadRequest for what is no form, or says a thing twice."""
        self._body = body
        callbacks: MultipartCallbacks = {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        try:
            MultipartParser(boundary, callbacks).write(body)
        except FormParserError as error:
            raise _no_form(str(error)) from None
        if not self._ended:
            raise _no_form("it is cut off")

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _no_form(f"it has more than {_MOST_PARTS} parts")
        self._name, self._start = "", -1

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = data[start:end].lower()
        if self._start < 0:
            self._start = start

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._end = end
        if self._header == b"content-disposition":
            name = parse_options_header(data[start:end])[1].get(b"name", b"")
            self._name = name.decode(errors="replace")

    def _on_headers_finished(self) -> None:
        self._data = self._end = self._end + len(b"\r\n\r\n")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._end = end

    def _on_part_end(self) -> None:
        name = self._name
        if name == "file":
            self.file = True
        if name not in _READ:
            return
        if name in self.texts:
            raise BadRequest(f"{name}: the field stands in the form twice", field=name)
        if self._end - self._data > _MOST:
            raise BadRequest(f"{name}: is too long", field=name)
        try:
            self.texts[name] = self._body[self._data : self._end].decode()
        except UnicodeDecodeError:
            raise BadRequest(f"{name}: the text is not valid UTF-8", field=name) from None
        if name == "model":
            self.model_at = (self._start, self._end)

    def _on_end(self) -> None:
        self._ended = True


def _boundary(body: bytes) -> bytes:
    line, end, _ = body[:256].partition(b"\r\n")
    boundary = line[2:]
    if not end or not line.startswith(b"--") or not _ALLOWED.fullmatch(boundary):
        raise _no_form("it does not begin with a boundary")
    return boundary


def _no_form(why: str) -> BadRequest:
    return BadRequest(f"the body is no form: {why}", field="body", hint=_FORM_HINT)
