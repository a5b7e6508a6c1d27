"""What the pipeline must know of a client's protocol. One `Surface` per route. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

import msgspec

from controlplane.routing.resolve import Wanted
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import BadRequest, FlockError
from flockpy.placement import Capability

T = TypeVar("T")
Fields = dict[str, msgspec.Raw]
"""The top level of a JSON object, its values still as the bytes they came in."""


class Inbound(msgspec.Struct, frozen=True):
    """What routing, quota and forwarding need of a request.

    `fields`: the body's top level. `max_tokens` bounds one completion, None when the client set no bound; `choices` is
    how many completions it asked for; `wants_usage`: the client itself asked for the usage chunk of a stream.
    """

    fields: Fields
    model: str
    stream: bool = False
    max_tokens: int | None = None
    choices: int = 1
    wants_usage: bool = False


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Token counts as an engine reports them."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


class Surface(Protocol):
    """One inference route of the leader."""

    name: SurfaceName
    capability: Capability

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


def read_fields(body: bytes) -> Fields:
    """The top level of a request's body. Raises BadRequest when it is no JSON object or says a thing twice."""
    fields = decode(_FIELDS, body)
    # A repeated key makes the body longer than its fields explain. Bodies are compact or in the style of Python's
    # json; only one in neither style is looked through. (A repeated key that hides in a mix of styles does no harm:
    # the last one counts here and in every engine.)
    size = sum(map(len, fields)) + sum(len(memoryview(raw)) for raw in fields.values()) + 4 * len(fields) + 1
    slack = len(body) - size
    if slack not in (0, 2 * len(fields) - 1):
        _refuse_repeated(body)
    return fields


def decode(decoder: msgspec.json.Decoder[T], body: bytes | msgspec.Raw, within: str = "") -> T:
    """Decode JSON from a client; `within` is the field it stands in. Raises BadRequest that names field or place."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), within) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"the body is not valid JSON: {error}", field="body") from None
    except RecursionError:
        raise BadRequest("the body is nested too deeply", field="body") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not valid UTF-8: {error.reason}", field="body") from None


def rewrite(fields: Fields, changes: Mapping[str, Any]) -> bytes:
    """The body with top-level fields replaced or added; every other value stays byte for byte."""
    return msgspec.json.encode({**fields, **changes})


_FIELDS = msgspec.json.Decoder(Fields)
_AT = re.compile(r" - at `(?P<path>[^`]*)`$")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\]]')


def _invalid(message: str, within: str) -> BadRequest:
    at = _AT.search(message)
    path = (within + at["path"].removeprefix("$")).removeprefix(".") if at else within
    if missing := re.search(r"missing required field `([^`]+)`", message):
        path = f"{path}.{missing[1]}" if path else missing[1]
    return BadRequest(f"{path or 'body'}: {_AT.sub('', message)}", field=path or "body")


def _refuse_repeated(body: bytes) -> None:
    depth, seen = 0, set[bytes]()
    for match in _TOKEN.finditer(body):
        token = match.group()
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        elif depth == 1 and body[match.end() : match.end() + 64].lstrip()[:1] == b":":
            if token in seen:
                name = token.decode(errors="replace").strip('"')
                raise BadRequest(f"{name}: the key stands in the body twice", field=name)
            seen.add(token)
