"""What surrounds every call: a deadline for its body, and the one place where admin mutations are written down.

The record is made before the answer goes out: a caller who reads "done" can rely on the trail saying so too.
Only what succeeded is recorded.
"""

import asyncio

import msgspec
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPReceiveMessage, Message, Receive, Scope, Send, WebSocketReceiveMessage

from controlplane.api.auth import Call
from controlplane.api.services import Services
from flockpy.errors import BadRequest, BodyTimeout


class Trail(ASGIMiddleware):
    """Gives each request its `Call`; records those of routes with an `action` once they have succeeded.

    A body that ends too early is a BadRequest. One that stops arriving ends in BodyTimeout: registering needs no key,
    so anybody could let one trickle.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        call = scope["user"] = Call()
        action: str | None = scope["route_handler"].opt.get("action")

        async def record_then_send(message: Message) -> None:
            if (
                message["type"] == "http.response.start"
                and message["status"] < 400
                and action
                and call.changes
            ):
                detail = msgspec.json.encode(call.facts, order="sorted").decode()
                await self._services.audit.record(call.actor, action, call.target, detail)
            await send(message)

        await next_app(scope, self._bounded(receive), record_then_send)

    def _bounded(self, receive: Receive) -> Receive:
        """`receive`, with a bound on silence and on the whole, until the body is complete."""
        limits, clock = self._services.config.limits, self._services.clock
        deadline = clock.monotonic() + limits.body_total_seconds
        complete = False

        async def bounded() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal complete
            if complete:
                return await receive()
            try:
                async with asyncio.timeout(min(limits.body_read_seconds, deadline - clock.monotonic())):
                    message = await receive()
            except TimeoutError as error:
                raise BodyTimeout("The body stopped arriving.") from error
            if message["type"] == "http.disconnect":  # litestar would take it for a failure of ours
                raise BadRequest("The body ended before it was complete.")
            complete = not (message["type"] == "http.request" and message["more_body"])
            return message

        return bounded
