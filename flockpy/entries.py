"""An entry of the catalog: from the decoded YAML of its file to a value, or an error that says where. Pure."""

from typing import TypeVar

import msgspec

from flockpy.errors import StartError

T = TypeVar("T")


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what a YAML file holds: an unknown field is an error."""


def fit(content: object, kind: type[T], source: str) -> T:
    """The decoded YAML of the file `source` as a `kind`. Raises StartError that names the file and the field."""
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        said, _, at = str(error).partition(" - at `$")
        raise wrong(source, at.rstrip("`").lstrip("."), said) from None


def wrong(source: str, field: str, what: str) -> StartError:
    """The error for a `field` of the file `source`; "" for the file as a whole."""
    where = f"{source}: `{field}`" if field else source
    return StartError(f"{where}: {what[:1].lower()}{what[1:]}".replace("`$", "`"))
