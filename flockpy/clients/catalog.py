"""The clients of the catalog: the bundled ones, and those of the configured folders that come over them by id."""

import os
from functools import lru_cache
from pathlib import Path

from flockpy.clients.entry import Client, parse
from flockpy.errors import StartError
from flockpy.paths import catalog_dir


def load_clients(configured: str = "") -> dict[str, Client]:
    """Every client by id, in the order of their ids.

    `configured` is the value of ``catalog_dir``: more folders, separated as on PATH, the later over the earlier.
    Raises StartError, naming file and field, for a file that does not describe a client.
    """
    found: dict[str, Client] = {}
    folders = [catalog_dir(), *(Path(folder) for folder in configured.split(os.pathsep) if folder)]
    for folder in folders:
        for path in sorted((folder / "clients").glob("*.yaml")):
            client = _read(path, path.stat().st_mtime_ns)
            found[client.id] = client
    return dict(sorted(found.items()))


def read_client(path: Path) -> Client:
    """The client that one file describes; it is named after its id. Raises StartError."""
    import yaml

    try:
        content = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise StartError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from None
    except OSError as error:
        raise StartError(f"{path}: the file cannot be read: {error.strerror}") from None
    client = parse(content, str(path))
    if client.id != path.stem:
        raise StartError(f"{path}: `id`: {client.id} must be the file's name, {path.stem}")
    return client


@lru_cache(maxsize=1024)
def _read(path: Path, _modified: int) -> Client:
    """Kept until the file changes."""
    return read_client(path)
