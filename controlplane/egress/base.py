"""What a vendor is: its models stand beside the cluster's own, asked only when an admin gave a key.

To add one: a file here with a class of the shape of `Vendor`, and the steps that CONTRIBUTING names.
"""

from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from controlplane.protocols.base import Fields
from controlplane.protocols.ir import Reader, Request
from controlplane.tenants.model import Surface as SurfaceName
from flockpy.errors import FlockError

Headers = tuple[tuple[bytes, bytes], ...]
"""Header lines; names in lower case."""
Manner = Literal["native", "translated"]
"""How a client's protocol reaches a vendor: as it is, or through the neutral form."""
CHATS: Final[frozenset[SurfaceName]] = frozenset({"chat", "messages", "ollama", "responses"})
"""Surfaces that hold conversations: all of them have a neutral form."""
NO_FIELDS: Final[Fields] = {}


class Unframe(Protocol):
    """Takes a vendor's own framing off a stream: what is left are server-sent events."""

    def feed(self, data: bytes) -> bytes:
        """The events that `data` completes. Raises EngineDied for bytes that are no such framing."""
        ...


class Question(msgspec.Struct, frozen=True):
    """A client's request, as a vendor is to be asked.

    `model` is the vendor's id. `body` is the client's own and `fields` its top level, where the protocol is the
    vendor's (``native``); otherwise `request` says all that is asked and `body` is empty. `headers`: the client's, but
    none that says who it is. `max_tokens` bounds the answer to a ``native`` one where the client set no bound and its
    quota needs one.
    """

    surface: SurfaceName
    model: str
    stream: bool
    body: bytes
    fields: Fields
    request: Request | None
    headers: Headers
    max_tokens: int | None = None


class Posting(msgspec.Struct, frozen=True):
    """What is posted to a vendor. `headers` lack host and content-length; they may hold the vendor's key.

    `reader` makes what reads the answer: to tell it anew, or, where the protocol is the client's, to see what was
    used. None: the client's own surface knows how to read it. `hide_usage`: the client did not ask for the usage that
    the stream will end with. `left_out`: what of the client's own body is not in it.
    """

    url: str
    headers: Headers
    body: bytes
    reader: Callable[[], Reader] | None
    unframe: Callable[[], Unframe] | None = None
    hide_usage: bool = False
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Posting({self.url})"


class Vendor(Protocol):
    """One vendor, with its key. It does no I/O but for credentials that have to be fetched."""

    @property
    def name(self) -> str: ...

    def claims(self, model: str) -> bool:
        """Whether a model's name is of the form that this vendor's ids have."""
        ...

    def manner(self, surface: SurfaceName, model: str, fields: Fields = NO_FIELDS) -> Manner | None:
        """How requests of a surface reach a model; None when they cannot. `fields`: those of the request in question,
        where the model may take it only in another protocol."""
        ...

    async def posting(self, question: Question) -> Posting:
        """What to send. Raises BadRequest for what the vendor cannot be asked, EngineUnreachable without credentials
        or where they cannot be had."""
        ...

    async def counting(self, question: Question) -> Posting | None:
        """What to send to have the prompt of a Messages request counted, answered by ``{"input_tokens": N}``; None
        where the vendor counts none. Raises as `posting` does."""
        ...

    def refusal(self, status: int, body: bytes, retry_after: int | None) -> FlockError:
        """The error a client is told for an error answer (status 400 or above) of this vendor, whose own words on when
        to come back are `retry_after`, in seconds."""
        ...
