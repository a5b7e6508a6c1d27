"""Cursors of lists that page by a row's number. Pure."""

from collections.abc import Sequence
from typing import TypeVar

from flockpy.errors import BadRequest

T = TypeVar("T")


def number_of(cursor: str | None) -> int | None:
    """The number that `cursor` stands for. Raises BadRequest when it is none of ours."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise BadRequest("This cursor leads nowhere; start again without it.", field="cursor")
    return int(cursor)


def page(rows: Sequence[tuple[int, T]], limit: int) -> tuple[list[T], str | None]:
    """The first `limit` of numbered `rows`, and a cursor if there are more: ask for one row more than `limit`."""
    cursor = str(rows[limit - 1][0]) if len(rows) > limit else None
    return [value for _, value in rows[:limit]], cursor
