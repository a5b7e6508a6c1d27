"""One inference request on its way, and the registry of those that live or lived lately."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from controlplane.protocols.base import Surface
from controlplane.routing.policy import RouteDecision
from controlplane.tenants.model import Key, UsageRecord

Stage = Literal["queued", "prefilling", "generating", "sending", "completed", "cancelled", "failed"]
RECEIPTS: Final = 5000
"""Finished requests whose receipt is kept in memory for `why`."""


class VendorDecision(msgspec.Struct, frozen=True):
    """A vendor was asked for one of its models."""

    vendor: str
    model_id: str

    @property
    def reason(self) -> str:
        return f"vendor:{self.vendor}"


class Attempt(msgspec.Struct):
    """One try at one placement or vendor: why it was picked among whom, and what went wrong with it, if anything."""

    decision: RouteDecision | VendorDecision
    error: str = ""


class Call(msgspec.Struct, eq=False):
    """The state of one request.

    `time` is on the wall's clock, `started` and `first_byte` on the monotonic one, `queue_s` is seconds in line;
    `dropped` names what of the request is not carried over to the engine, `estimated` tells that a count of tokens is
    none of an engine; `hops` are the models that were passed over, each with the reason, as ``MODEL:CODE``. `error`
    is what its client was told instead of an answer. `position` and `on_cancel` are set while they mean something;
    `events` counts what a stream has brought so far.
    """

    request_id: str
    surface: Surface
    time: float
    started: float
    key: Key | None = None
    asked_model: str = ""
    dropped: tuple[str, ...] = ()
    estimated: bool = False
    model: str = ""
    stream: bool = False
    stage: Stage = "queued"
    node_id: str = ""
    node_name: str = ""
    queue_s: float = 0.0
    first_byte: float | None = None
    attempts: tuple[Attempt, ...] = ()
    hops: tuple[str, ...] = ()
    position: Callable[[], int] | None = None
    on_cancel: Callable[[], object] | None = None
    events: Callable[[], int] | None = None
    cancelled_by: str = ""
    error: str = ""
    record: UsageRecord | None = None

    def cancel(self, by: str) -> None:
        """Give the request up: its engine is told at once, whatever it waits for ends. `by`: who wanted it."""
        if not self.cancelled_by and self.record is None:
            self.cancelled_by = by
            if self.on_cancel is not None:
                self.on_cancel()


class Calls:
    """Requests in flight, and the receipts of the last `RECEIPTS` finished ones."""

    def __init__(self) -> None:
        self._live: dict[str, Call] = {}
        self._past: OrderedDict[str, Call] = OrderedDict()
        self._none_left: asyncio.Future[None] | None = None  # there while somebody waits for it

    async def none_left(self) -> None:
        """Return once no request is in flight."""
        while self._live:
            if self._none_left is None:
                self._none_left = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._none_left)

    def add(self, call: Call) -> None:
        self._live[call.request_id] = call

    def finish(self, call: Call) -> None:
        """Move a request to the past."""
        call.position = call.on_cancel = call.events = None
        self._live.pop(call.request_id, None)
        if self._none_left is not None and not self._live:
            self._none_left.set_result(None)
            self._none_left = None
        self._past[call.request_id] = call
        if len(self._past) > RECEIPTS:
            self._past.popitem(last=False)

    def live(self) -> tuple[Call, ...]:
        """Requests in flight, oldest first."""
        return tuple(self._live.values())

    def get(self, request_id: str) -> Call | None:
        return self._live.get(request_id) or self._past.get(request_id)
