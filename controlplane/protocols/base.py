"""What the pipeline must know of a client's protocol. One `Surface` per route. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeVar

import msgspec

from controlplane.protocols.chat_outline import Outline
from controlplane.routing.resolve import Wanted
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, FlockError
from flockpy.placement import Capability

T = TypeVar("T")
Fields = dict[str, msgspec.Raw]
"""The top level of a JSON object, its values still as the bytes they came in."""
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a `msgspec.json.Decoder` raises for what it was not made for."""


class Inbound(msgspec.Struct, frozen=True):
    """What routing, quota and forwarding need of a request.

    `fields`: the body's top level. `max_tokens` bounds one completion, None when the client set no bound; `choices` is
    how many completions it asked for, of all its `texts` together; `wants_usage`: the client itself asked for the
    usage chunk of a stream; `lines`: the messages of a chat.
    """

    fields: Fields
    model: str
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    wants_usage: bool = False
    texts: int = 1
    lines: Outline = ()


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Token counts as an engine reports them, and how long it says it read and wrote, in ms; 0 when it does not say.

    `cached_tokens` of the prompt were read from a cache, `cache_written_tokens` of it were written into one.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    prompt_ms: float = 0.0
    completion_ms: float = 0.0
    cache_written_tokens: int = 0


class Surface(Protocol):
    """One inference route of the leader."""

    name: SurfaceName
    capability: Capability
    stream_type: bytes
    """The media type of its streams; whole answers are JSON."""
    engine_path: str
    """Where engines are asked in this protocol; "" when they are not."""
    reshapes: bool
    """Engines are asked in this protocol, but their answer has to be `render`ed."""
    opaque: bool
    """No JSON: what is asked passes and is not counted, whatever is answered passes in one piece."""

    def parse(self, body: bytes) -> Inbound:
        """Read what we need of a request and no more: long values are not looked into. Raises BadRequest."""
        ...

    def explain(self, body: bytes, capabilities: tuple[Capability, ...]) -> BadRequest | None:
        """Why an engine of these capabilities cannot serve this body, naming the field; None when nothing is wrong.

        Reads everything; called only when an engine refused.
        """
        ...

    def wanted(self, inbound: Inbound) -> Wanted:
        """What ``auto`` has to look for."""
        ...

    def status(self, error: FlockError) -> int:
        """The HTTP status of an error in this protocol."""
        ...

    def error(self, error: FlockError) -> bytes:
        """The JSON body of an error answer in the client's own shape."""
        ...

    def stream_error(self, error: FlockError) -> bytes:
        """The event that ends a stream that cannot go on."""
        ...

    def usage(self, body: bytes) -> Usage | None:
        """The usage object of a whole answer, or of one streamed chunk; None without one."""
        ...

    def keep_alive(self, request_id: str, model: str, created: int) -> bytes:
        """A stream event that says nothing and resets the client's idle timer."""
        ...

    def engine_body(self, inbound: Inbound, body: bytes, model: str) -> bytes:
        """What is sent for `body`, of which `inbound` was parsed; `model` is the engine's name for it."""
        ...

    def content_type(self, inbound: Inbound) -> bytes:
        """Of `engine_body`."""
        ...

    def render(self, inbound: Inbound, answer: bytes, *, model: str, request_id: str) -> bytes:
        """What the client gets of an engine's answer. Raises EngineDied when that is none."""
        ...


class Plain:
    """What surfaces share that have streams of server-sent events, errors with their own statuses, and bodies that pass
    as they are."""

    stream_type: bytes = b"text/event-stream; charset=utf-8"
    engine_path: str = ""
    reshapes: bool = False
    opaque: bool = False

    def status(self, error: FlockError) -> int:
        return error.status

    def engine_body(self, inbound: Inbound, body: bytes, model: str) -> bytes:
        return body

    def content_type(self, inbound: Inbound) -> bytes:
        return b"application/json"

    def render(self, inbound: Inbound, answer: bytes, *, model: str, request_id: str) -> bytes:
        return answer


def read_fields(body: bytes) -> Fields:
    """The top level of a request's body. Raises BadRequest when it is no JSON object or says a thing twice."""
    fields = decode(_FIELDS, body)
    known = sum(map(len, fields)) + sum(map(len, map(memoryview, fields.values())))
    spare = len(body) - known - 4 * len(fields) - 1
    # Longer than need be: white space (as Python's json puts it, or any other), or a key that is repeated.
    if spare and not (spare == 2 * len(fields) - 1 and body == _spaced(fields)):
        _refuse_repeated(body, fields)
    return fields


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, field: str = "") -> T:
    """Decode JSON from a client; `field` is what it is the value of, "" for the whole body.

    Raises BadRequest that names the field or the place.
    """
    what, where = field or "the body", field or "body"
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), field) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"{what} is not valid JSON: {error}", field=where) from None
    except RecursionError:
        raise BadRequest(f"{what} is nested too deeply", field=where) from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"{what} is not valid UTF-8: {error.reason}", field=where) from None


def rewrite(fields: Fields, changes: Mapping[str, Any]) -> bytes:
    """The body with top-level fields replaced or added; every other value stays byte for byte."""
    return msgspec.json.encode({**fields, **changes})


_FIELDS = msgspec.json.Decoder(Fields)
_AT = re.compile(r" - at `(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")
_KEY = re.compile(rb'\s*+[{,]\s*+"((?:[^"\\]++|\\.)*+)"\s*+:\s*+')
_END = re.compile(rb"\s*+\{?\s*+\}\s*+")


def located(message: str, within: str = "") -> tuple[str, str]:
    """What msgspec complains of, and where: a path such as ``messages[0].role``, "" for the whole."""
    at = _AT.search(message)
    path = within + at["path"].removeprefix("$") if at else within
    if missing := _MISSING.search(message):
        path = f"{path}.{missing[1]}"
    return _AT.sub("", message), path.removeprefix(".")


def _invalid(message: str, field: str) -> BadRequest:
    said, path = located(message, field)
    return BadRequest(f"{path or 'body'}: {said}", field=path or "body")


def _spaced(fields: Fields) -> bytes:
    pairs = zip(map(str.encode, fields), fields.values(), strict=True)
    return b"{%b}" % b", ".join(map(b'"%b": %b'.__mod__, pairs))


def _refuse_repeated(body: bytes, fields: Fields) -> None:
    """Go through the top level with the values that are known: of a repeated key only the last one is."""
    at, name, seen = 0, "", set[str]()
    while match := _KEY.match(body, at):
        key = match[1]
        name = msgspec.json.decode(b'"%b"' % key, type=str) if b"\\" in key else key.decode()
        value, start = bytes(fields[name]), match.end()
        at = start + len(value)
        if name in seen or body[start:at] != value:
            break
        seen.add(name)
    else:
        if _END.fullmatch(body, at):
            return
    raise BadRequest(f"{name}: the key stands in the body twice", field=name)
