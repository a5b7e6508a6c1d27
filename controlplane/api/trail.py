"""The one place where admin mutations are written down, so that no handler can forget it.

The record is made before the answer goes out: a caller who reads "done" can rely on the trail saying so too.
Only what succeeded is recorded.
"""

import msgspec
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.api.auth import Call
from controlplane.api.services import Services


class Trail(ASGIMiddleware):
    """Gives each request its `Call`; records those of routes with an `action` once they have succeeded."""

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

        await next_app(scope, receive, record_then_send)
