"""Chains of the configuration: who is asked when a model cannot answer."""

import msgspec
from litestar.handlers import HTTPRouteHandler

from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from controlplane.api.shapes import Page
from controlplane.routing.chains import troubles
from flockpy.config import chains_of


class Chain(msgspec.Struct, frozen=True):
    """`further` are asked in the place of `name`, in order: models' ids or aliases. `troubles`: what of it does nothing
    as things are."""

    name: str
    further: tuple[str, ...]
    troubles: tuple[str, ...]


@read(f"{ADMIN}/chains", "List the chains of models", may=(404,))
async def list_chains(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[Chain]:
    table = services.table()
    chains = [
        Chain(name, further, troubles(name, further, table))
        for name, further in chains_of(services.config.router.fallback).items()
    ]
    return page(chains, limit, cursor, lambda chain: chain.name, lambda chain: chain)


HANDLERS: list[HTTPRouteHandler] = [list_chains]
