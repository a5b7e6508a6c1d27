"""The admin surface as one litestar application."""

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme

from controlplane.api import auth, edge, nodes
from controlplane.api.services import Services
from controlplane.api.trail import Trail


def build_api(services: Services) -> Litestar:
    """The application for everything under ``/admin/v1``, the probes, the metrics and ``/openapi.json``."""

    def provide() -> Services:
        return services

    return Litestar(
        route_handlers=[*nodes.HANDLERS],
        dependencies={"services": Provide(provide, sync_to_thread=False, use_cache=True)},
        guards=[auth.guard(services)],
        middleware=[Trail(services)],
        exception_handlers=edge.handlers(),
        openapi_config=_description(services.version),
        logging_config=None,
    )


def _description(version: str) -> OpenAPIConfig:
    return OpenAPIConfig(
        title="flockpy",
        version=version,
        summary="The admin surface of a flockpy leader",
        path="/",
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(
            security_schemes={
                "bearer": SecurityScheme(type="http", scheme="bearer"),
                "api_key": SecurityScheme(type="apiKey", name="x-api-key", security_scheme_in="header"),
            }
        ),
    )
