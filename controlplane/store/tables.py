"""The tables: one class each, an instance is a row. Rows never leave this folder.

`migrations` makes the schema; a test compares the two.
Times are seconds since the epoch, composite values JSON.
"""

from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

TableArgs = tuple[Any, ...]


class Meta(SQLModel, table=True):
    """Single values, such as how far the usage journal has been drained."""

    key: str = Field(primary_key=True)
    value: str


class Keys(SQLModel, table=True):
    id: str = Field(primary_key=True)
    name: str
    scope: str
    prefix: str
    hash: bytes = Field(unique=True)
    created_at: float
    daily_token_quota: int | None
    models: str | None
    """A JSON list; None allows all."""
    expires_at: float | None
    revoked_at: float | None
    subject: str


class Models(SQLModel, table=True):
    """`record` is the whole model; nothing asks for a part of it."""

    id: str = Field(primary_key=True)
    record: str


class Nodes(SQLModel, table=True):
    id: str = Field(primary_key=True)
    role: str
    created_at: float
    draining: bool
    hostname: str


class Desired(SQLModel, table=True):
    placement_id: str = Field(primary_key=True)
    node_id: str
    spec: str
    why: str


class Aliases(SQLModel, table=True):
    """`model` is an id, ``auto`` or ""."""

    name: str = Field(primary_key=True)
    model: str


class Usage(SQLModel, table=True):
    """`seq` is the order of insertion: what pages and the chain over the table follow."""

    __table_args__: TableArgs = (
        Index("usage_request_id", "request_id", unique=True),
        Index("usage_time", "time"),
        Index("usage_user", "user"),
    )

    seq: int | None = Field(default=None, primary_key=True)
    request_id: str
    time: float
    key_id: str
    user: str
    model: str
    node_id: str
    surface: str
    stream: bool
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    tokens_source: str
    queue_ms: float
    ttft_ms: float | None
    duration_ms: float
    outcome: str
    status: int
    cost_usd: float | None


class Audit(SQLModel, table=True):
    """`detail` is the very text that was hashed."""

    __table_args__: TableArgs = (Index("audit_actor", "actor"),)

    seq: int | None = Field(default=None, primary_key=True)
    time: float
    actor: str
    action: str
    target: str
    detail: str
    hash: bytes
    previous_hash: bytes
