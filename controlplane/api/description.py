"""The OpenAPI description of this surface: the contract of the command line and the web UI.

It is made when it is first asked for, by an application of its own: most leaders are never asked, and litestar's
way of serving it would answer other paths too.
"""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from litestar import Litestar, Response
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from controlplane.api.routes import read
from controlplane.api.services import Needs


def handler(handlers: Sequence[HTTPRouteHandler]) -> HTTPRouteHandler:
    """The route that describes `handlers`."""

    described = tuple(handlers)

    @lru_cache(maxsize=1)
    def description(version: str) -> bytes:
        return _describe([*described, openapi], version)

    @read("/openapi.json", "The description of this surface", access="open")
    async def openapi(services: Needs) -> Response[Any]:
        content = await asyncio.to_thread(description, services.version)
        return Response(msgspec.Raw(content), media_type="application/json")

    return openapi


def _describe(handlers: Sequence[HTTPRouteHandler], version: str) -> bytes:
    app = Litestar(
        route_handlers=handlers,
        dependencies={"services": Provide(lambda: None, sync_to_thread=False)},
        openapi_config=OpenAPIConfig(
            title="flockpy",
            version=version,
            summary="The admin surface of a flockpy leader",
            components=Components(
                security_schemes={
                    "bearer": SecurityScheme(type="http", scheme="bearer"),
                    "api_key": SecurityScheme(type="apiKey", name="x-api-key", security_scheme_in="header"),
                }
            ),
        ),
        logging_config=None,
    )
    return msgspec.json.encode(app.openapi_schema.to_schema())
