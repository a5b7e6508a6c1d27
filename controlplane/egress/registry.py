"""The vendors that may be asked, and which model is whose."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from controlplane.egress.anthropic import Anthropic
from controlplane.egress.aws import StandardCredentials
from controlplane.egress.base import Vendor
from controlplane.egress.bedrock import Bedrock
from controlplane.egress.google import ApplicationDefault
from controlplane.egress.openai import OpenAI
from controlplane.egress.vertex import Vertex
from controlplane.routing.table import Route
from controlplane.tenants.model import Surface
from flockpy.aliases import NAME_PATTERN
from flockpy.config import Fallback
from flockpy.globs import fits
from flockpy.known_vendors import VendorName, opened
from flockpy.placement import Capability
from flockpy.vendors import VendorCatalog

REMEMBERED: Final = 1024
"""Names of vendors' models whose routes are kept: clients make names up."""
_NAME: Final = re.compile(NAME_PATTERN)
"""They are shown to people, in tables and terminals."""
_ASKED_AS: Final[Mapping[Capability, Surface]] = {
    "chat": "chat",
    "completion": "completions",
    "embedding": "embeddings",
    "tools": "chat",
    "vision": "chat",
    "transcription": "transcriptions",
}
"""What may be believed of a model that the catalog does not know, where its vendor is asked for it."""
_MADE: Final[Mapping[VendorName, Callable[[Fallback], Vendor]]] = {
    "anthropic": lambda f: Anthropic(f.anthropic_api_key, f.anthropic_url),
    "openai": lambda f: OpenAI(f.openai_api_key, f.openai_url),
    "bedrock": lambda f: Bedrock(f.bedrock_region, StandardCredentials(), base_url=f.bedrock_url),
    "vertex": lambda f: Vertex(
        f.vertex_project, f.vertex_location, ApplicationDefault(), base_url=f.vertex_url
    ),
}


class Vendors:
    """The models of `vendors` for the routing table, see `VendorRoutes`; a name that several claim is the first one's.

    `allowed`: ids, or globs for them; () allows all. `location` is where Vertex is asked, for its prices.
    """

    def __init__(
        self, vendors: Iterable[Vendor], catalog: VendorCatalog, allowed: Sequence[str], location: str = ""
    ) -> None:
        self.by_name: Mapping[str, Vendor] = {vendor.name: vendor for vendor in vendors}
        self._catalog = catalog
        self._allowed = tuple(allowed)
        self._location = location
        self._remembered: Callable[[str], Route | None] = lru_cache(maxsize=REMEMBERED)(self._route)

    def route(self, name: str, /) -> Route | None:
        # Outside of what is remembered: names are the clients' own, and may be as long as a body.
        return self._remembered(name) if _NAME.fullmatch(name) else None

    def listed(self) -> Sequence[Route]:
        names = [model.id for vendor in self.by_name for model in self._catalog.listed(vendor)]
        routes = [self.route(name) for name in dict.fromkeys(names)]
        return [route for route in routes if route is not None]

    def _route(self, name: str) -> Route | None:
        if self._allowed and not any(fits(glob, name) for glob in self._allowed):
            return None
        whose = next((vendor for vendor in self.by_name.values() if vendor.claims(name)), None)
        if whose is None:
            return None
        vendor = whose.name
        known = self._catalog.find(vendor, name, self._location)
        if known is None:
            offered: list[Capability] = [
                what for what, surface in _ASKED_AS.items() if whose.manner(surface, name)
            ]
            return Route(name, tuple(offered or _ASKED_AS), 0, 0.0, vendor=vendor, label=f"{vendor}/other")
        return Route(
            name,
            known.capabilities,
            known.context_window,
            0.0,
            vendor=vendor,
            label=f"{vendor}/{known.id}",
            price=known.price,
            chain=known.fallback,
        )


def vendors_of(fallback: Fallback) -> list[Vendor]:
    """The vendors that the configuration opens, in the order in which a name is offered to them."""
    return [_MADE[known.name](fallback) for known in opened(fallback)] if fallback.enabled else []
