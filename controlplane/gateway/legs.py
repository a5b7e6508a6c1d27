"""A request as it goes to one model: what is read and told anew depends on who is asked."""

from typing import Final

import msgspec

from controlplane.egress.base import Manner
from controlplane.protocols.anthropic_thoughts import own_thoughts
from controlplane.protocols.base import Inbound, Surface
from controlplane.protocols.chat_outline import instructs_oddly
from controlplane.protocols.media import refuse_remote, refuse_remote_in_chat
from controlplane.protocols.responses_thoughts import own_reasoning
from controlplane.protocols.translated import Neutral, foreign_chat, retold_chat
from controlplane.routing.table import Route
from flockpy.errors import BadRequest

DROPPED: Final = 32
DROPPED_CHARS: Final = 80
"""Names of dropped fields that are kept, and characters of each: they are the client's, and receipts live long."""

_OWN: Final = {"messages": own_thoughts, "responses": own_reasoning}
"""By surface, what takes out of a vendor's own protocol what another model thought."""


class Leg(msgspec.Struct, frozen=True):
    """`inbound` and `body` as they are dealt with on the way to `route`; `mends`: a wrong answer is put right;
    `native`: the bytes of a vendor's answer are the client's, and but for what is `left_out` so is its request."""

    route: Route
    inbound: Inbound
    body: bytes
    mends: bool = False
    native: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def dropped(self) -> tuple[str, ...]:
        """What of the client's request is not carried over."""
        if self.native:
            return self.left_out[:DROPPED]
        if not isinstance(self.inbound, Neutral):
            return ()
        return tuple(name[:DROPPED_CHARS] for name in self.inbound.request.dropped[:DROPPED])


def to_cluster(surface: Surface, inbound: Inbound, body: bytes, route: Route, *, mends: bool) -> Leg:
    """On the way to an engine of ours. Raises BadRequest for what must not reach one."""
    if isinstance(inbound, Neutral):
        refuse_remote(inbound.request)
    elif surface.name == "chat":
        refuse_remote_in_chat(inbound.lines)
        if mends:
            inbound, body = retold_chat(inbound, body, instructed=instructs_oddly(inbound.lines))
    return Leg(route, inbound, body, mends)


def to_vendor(surface: Surface, inbound: Inbound, body: bytes, route: Route, manner: Manner | None) -> Leg:
    """On the way to a vendor, which fetches what pictures point at by itself. Raises BadRequest."""
    if manner is None:
        raise BadRequest(
            f"model {route.model_id} of {route.vendor} cannot be asked on this route",
            field="model",
            hint="ask it on /v1/chat/completions or /v1/messages",
        )
    if manner == "translated":
        return Leg(route, inbound if isinstance(inbound, Neutral) else foreign_chat(inbound, body), body)
    own = _OWN.get(surface.name)
    body, left_out = own(body) if own else (body, ())
    return Leg(route, inbound, body, native=True, left_out=left_out)
