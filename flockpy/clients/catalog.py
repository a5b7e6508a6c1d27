"""The clients of the catalog: the bundled ones, and those of the configured folders that come over them by id."""

from pathlib import Path

from flockpy import catalog
from flockpy.clients.entry import Client, parse
from flockpy.entries import wrong


def load_clients(configured: str = "") -> dict[str, Client]:
    """Every client by id, in the order of their ids. `configured` is the value of ``catalog_dir``.

    Raises StartError, naming file and field, for a file that does not describe a client.
    """
    found: dict[str, Client] = {}
    for path, content in catalog.files(catalog.folders(configured), "clients"):
        client = _client(path, content)
        found[client.id] = client
    return dict(sorted(found.items()))


def read_client(path: Path) -> Client:
    """The client that one file describes; it is named after its id. Raises StartError."""
    return _client(path, catalog.read(path))


def _client(path: Path, content: object) -> Client:
    client = parse(content, str(path))
    if client.id != path.stem:
        raise wrong(str(path), "id", f"{client.id} must be the file's name, {path.stem}")
    return client
