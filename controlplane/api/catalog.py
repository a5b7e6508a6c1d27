"""The catalog: what could be installed, as its YAML files say."""

import asyncio
from pathlib import Path
from typing import Any, cast

from litestar.handlers import HTTPRouteHandler

from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from controlplane.api.shapes import Page
from flockpy import catalog

Entry = dict[str, Any]


@read(f"{ADMIN}/catalog", "List the catalog's models", may=(404,))
async def list_catalog(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[Entry]:
    """The bundled entries, overridden by id by those of the configured directory."""
    places = catalog.folders(services.config.catalog_dir)
    entries = await asyncio.to_thread(_entries, places)
    return page(entries, limit, cursor, lambda entry: str(entry["id"]), lambda entry: entry)


HANDLERS: list[HTTPRouteHandler] = [list_catalog]


def _entries(places: tuple[Path, ...]) -> list[Entry]:
    """What says its id; other files are no entries."""
    found: dict[str, Entry] = {}
    for _, content in catalog.files(places, "models"):
        if isinstance(content, dict) and isinstance(id := cast("Entry", content).get("id"), str):
            found[id] = cast("Entry", content)
    return [found[id] for id in sorted(found)]
