"""The catalog: what could be installed, as its YAML files say."""

import asyncio
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import yaml
from litestar.handlers import HTTPRouteHandler

from controlplane.api.paging import Cursor, Limit, page
from controlplane.api.routes import ADMIN, read
from controlplane.api.services import Needs
from controlplane.api.shapes import Page
from flockpy.paths import catalog_dir

Entry = dict[str, Any]


@read(f"{ADMIN}/catalog", "List the catalog's models", may=(404,))
async def list_catalog(services: Needs, limit: Limit = 100, cursor: Cursor = None) -> Page[Entry]:
    """The bundled entries, overridden by id by those of the configured directory."""
    configured = services.config.catalog_dir
    folders = [catalog_dir(), *([Path(configured)] if configured else [])]
    entries = await asyncio.to_thread(_entries, folders)
    return page(entries, limit, cursor, lambda entry: str(entry["id"]), lambda entry: entry)


HANDLERS: list[HTTPRouteHandler] = [list_catalog]


def _entries(folders: list[Path]) -> list[Entry]:
    found: dict[str, Entry] = {}
    for folder in folders:
        for path in sorted((folder / "models").glob("*.yaml")):
            found |= {entry["id"]: entry for entry in _read(path, path.stat().st_mtime_ns)}
    return [found[id] for id in sorted(found)]


@lru_cache(maxsize=1024)
def _read(path: Path, _modified: int) -> tuple[Entry, ...]:
    """The entry in a file; nothing when it has no id. Kept until the file changes."""
    content: Any = yaml.safe_load(path.read_text("utf-8"))
    try:
        entry = msgspec.convert(content, Entry)
    except msgspec.ValidationError:
        return ()
    return (entry,) if isinstance(entry.get("id"), str) else ()
