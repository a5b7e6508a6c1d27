"""What a client asked for that a vendor's model cannot be told. Pure."""

from collections.abc import Mapping
from typing import Final

from controlplane.protocols.base import read_fields
from controlplane.protocols.ir import Request

_NAMES: Final[Mapping[str, frozenset[str]]] = {
    "temperature": frozenset({"temperature"}),
    "top_p": frozenset({"top_p", "topP"}),
    "top_k": frozenset({"top_k", "topK", "k"}),
    "seed": frozenset({"seed"}),
}
"""Of the neutral form's fields, by what vendors call them."""
_NESTS: Final = ("inferenceConfig", "additionalModelRequestFields", "generationConfig")


def left_out(request: Request, body: bytes) -> tuple[str, ...]:
    """The fields of `request` that are not in the `body` that was made of it for a vendor's model."""
    asked = [name for name in _NAMES if getattr(request, name) is not None]
    if not asked:
        return ()
    fields = read_fields(body)
    told = set(fields)
    for nest in _NESTS:
        if nest in fields:
            told |= set(read_fields(bytes(fields[nest])))
    return tuple(name for name in asked if told.isdisjoint(_NAMES[name]))
