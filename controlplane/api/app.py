"""The admin surface as one litestar application."""

from litestar import Litestar
from litestar.di import Provide

from controlplane.api import (
    aliases,
    auth,
    catalog,
    chains,
    clients,
    description,
    edge,
    logs,
    models,
    nodes,
    operations,
    records,
    requests,
    system,
    tokens,
    vendors,
)
from controlplane.api.routes import options
from controlplane.api.services import Services
from controlplane.api.trail import Trail

_ROOMS = (
    system,
    nodes,
    models,
    operations,
    tokens,
    requests,
    records,
    logs,
    catalog,
    clients,
    aliases,
    chains,
    vendors,
)


def build_api(services: Services) -> Litestar:
    """The application for everything under ``/admin/v1``, the probes, the metrics and ``/openapi.json``."""

    def provide() -> Services:
        return services

    handlers = [handler for room in _ROOMS for handler in room.HANDLERS]
    handlers.append(description.handler(handlers))
    return Litestar(
        route_handlers=[*options(handlers), *handlers],
        dependencies={"services": Provide(provide, sync_to_thread=False, use_cache=True)},
        guards=[auth.guard(services)],
        middleware=[Trail(services)],
        exception_handlers=edge.handlers(),
        openapi_config=None,
        logging_config=None,
    )
