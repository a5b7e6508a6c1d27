"""Cutting a list into pages. A cursor is the id of the last item of the page before."""

from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar

from litestar.params import QueryParameter

from controlplane.api.shapes import Page
from flockpy.errors import NotFound

T = TypeVar("T")
S = TypeVar("S")

Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="At most so many items.")]
Cursor = Annotated[
    str | None, QueryParameter(description="`next_cursor` of the page before.", max_length=200)
]


def page(
    items: Iterable[T], limit: int, cursor: str | None, id_of: Callable[[T], str], shape: Callable[[T], S]
) -> Page[S]:
    """The items after `cursor`, as `shape` shows them.

    Raises NotFound when the cursor names none of them (any more).
    """
    rest = list(items)
    if cursor is not None:
        at = next((i for i, item in enumerate(rest) if id_of(item) == cursor), None)
        if at is None:
            raise NotFound("This cursor leads nowhere (any more); start again without it.", field="cursor")
        rest = rest[at + 1 :]
    shown = rest[:limit]
    return Page([shape(item) for item in shown], id_of(shown[-1]) if len(rest) > limit else None)
