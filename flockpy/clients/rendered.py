"""A client's settings for one leader, key and model, as everybody shows them. Pure."""

import msgspec

from flockpy.clients.entry import Format, Kind, Protocol, Snippet


class ShownFile(msgspec.Struct, frozen=True):
    """`content` is all that must stand in the file, as if nothing else did. `own`: nothing else does."""

    path: str
    format: Format
    content: str
    own: bool = False


class Rendered(msgspec.Struct, frozen=True):
    """Everything a client needs: variables, files, steps by hand, text to paste; and how each is taken back.

    `warnings` are about this leader and this client together.
    """

    id: str
    name: str
    kind: Kind
    protocols: tuple[Protocol, ...]
    homepage: str
    env: dict[str, str]
    files: tuple[ShownFile, ...]
    steps: tuple[str, ...]
    snippets: tuple[Snippet, ...]
    run: str
    needs: tuple[str, ...]
    undo: tuple[str, ...]
    warnings: tuple[str, ...]
