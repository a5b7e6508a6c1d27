"""The files of the catalog: the bundled ones, and those of the configured folders that come over them by id."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from flockpy import entries, vendors
from flockpy.errors import StartError
from flockpy.paths import catalog_dir
from flockpy.vendors import VendorCatalog, VendorFile

Shelf = Literal["clients", "models", "vendors"]


class _Model(msgspec.Struct, frozen=True):
    """Of a model's entry, what chains are made of."""

    id: str
    fallback: tuple[str, ...] = ()


def folders(configured: str = "") -> tuple[Path, ...]:
    """Where the catalog lies, the bundled part first: a later folder comes over an earlier one.

    `configured` is the value of ``catalog_dir``: more folders, separated as on PATH.
    """
    return (catalog_dir(), *(Path(folder) for folder in configured.split(os.pathsep) if folder))


def files(places: Sequence[Path], shelf: Shelf) -> Iterator[tuple[Path, object]]:
    """Every YAML file of a shelf with what stands in it, in the order in which later comes over earlier.

    Raises StartError, naming file and line, for one that cannot be read.
    """
    for folder in places:
        for path in sorted((folder / shelf).glob("*.yaml")):
            yield path, read(path)


def read(path: Path) -> object:
    """What stands in a YAML file; kept until the file changes, so it is not to be changed. Raises StartError."""
    try:
        return _read(path, path.stat().st_mtime_ns)
    except OSError as error:
        raise StartError(f"{path}: the file cannot be read: {error.strerror}") from None


def load_vendors(places: Sequence[Path]) -> VendorCatalog:
    """The vendors' models. Raises StartError, naming file and field, for a file that does not describe a vendor."""
    return VendorCatalog.of(_vendor_files(places))


def shipped_chains(places: Sequence[Path]) -> Mapping[str, tuple[str, ...]]:
    """By the id of a model of the cluster's own, the models to ask when it cannot answer, in order. Vendors' are in
    their entries.

    Raises StartError, naming file and field.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path, content in files(places, "models"):
        model = entries.fit(content, _Model, str(path))
        found[model.id] = model.fallback
    return {id: chain for id, chain in found.items() if chain}


def _vendor_files(places: Sequence[Path]) -> Iterator[VendorFile]:
    for path, content in files(places, "vendors"):
        file = vendors.parse(content, str(path))
        if file.id != path.stem:
            raise entries.wrong(str(path), "id", f"{file.id} must be the file's name, {path.stem}")
        yield file


@lru_cache(maxsize=1024)
def _read(path: Path, _modified: int) -> object:
    import yaml  # takes longer than all the rest of a short command

    try:
        return yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise StartError(f"{path}{line}: not YAML: {getattr(error, 'problem', error)}") from None
