"""Who this node is to its leader: an id and a key, kept in the data directory (0600)."""

from pathlib import Path

import msgspec

from flockpy.security import private_dir, write_private


class Identity(msgspec.Struct, frozen=True):
    """`key` is the node's API key for `leader` (a URL)."""

    node_id: str
    key: str
    leader: str

    def __repr__(self) -> str:
        return f"Identity({self.node_id!r}, {self.leader!r})"


def load(path: Path) -> Identity | None:
    """The identity of earlier; None when there is none that can be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError):
        return None


def save(path: Path, identity: Identity) -> None:
    """Raises OSError."""
    private_dir(path.parent)
    write_private(path, msgspec.json.encode(identity).decode())


def read_token(path: Path | None) -> str:
    """The join token in that file; "" without one."""
    try:
        return path.read_text(encoding="utf-8").strip() if path else ""
    except (OSError, UnicodeDecodeError):
        return ""
