"""Vendors that may be asked: whether they answer, and which of their models are known."""

import msgspec
from litestar.handlers import HTTPRouteHandler

from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from controlplane.api.shapes import Page, rfc3339
from controlplane.routing.table import Route
from flockpy.placement import Capability
from flockpy.vendors import Price


class Vendor(msgspec.Struct, frozen=True):
    """`trouble` is why the latest request got no answer, at `trouble_at`, and `mend` what puts it right; None when the
    vendor has answered since, or was not asked yet."""

    id: str
    trouble: str | None
    mend: str | None
    trouble_at: str | None


class VendorModel(msgspec.Struct, frozen=True):
    """A model that the catalog knows. `price`: US dollars for a million tokens, where this leader asks."""

    id: str
    vendor: str
    context_window: int
    capabilities: tuple[Capability, ...]
    price: Price | None


@read(f"{ADMIN}/vendors", "List the vendors that may be asked", may=(404,))
async def list_vendors(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[Vendor]:
    return page(services.vendors, limit, cursor, lambda vendor: vendor, lambda id: _vendor(id, services))


@read(f"{ADMIN}/vendors/models", "List the models of vendors that are known by name", may=(404,))
async def list_vendor_models(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[VendorModel]:
    """Others of theirs may be asked for too, where the configuration does not forbid it."""
    return page(services.table().vendors.listed(), limit, cursor, lambda route: route.model_id, _model)


HANDLERS: list[HTTPRouteHandler] = [list_vendors, list_vendor_models]


def _vendor(id: str, services: Needs) -> Vendor:
    trouble = services.troubles.of(id)
    if trouble is None:
        return Vendor(id, None, None, None)
    return Vendor(id, trouble.message, trouble.mend or None, rfc3339(trouble.at))


def _model(route: Route) -> VendorModel:
    return VendorModel(route.model_id, route.vendor, route.context_window, route.capabilities, route.price)
