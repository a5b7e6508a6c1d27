"""What should run, where, and who may ask: meta, keys, models, nodes, desired."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("key", sa.String(), primary_key=True, nullable=False),
        sa.Column("value", sa.String(), nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(), primary_key=True, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False, unique=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("daily_token_quota", sa.Integer(), nullable=True),
        sa.Column("models", sa.String(), nullable=True),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.Column("subject", sa.String(), nullable=False),
    )
    op.create_table(
        "models",
        sa.Column("id", sa.String(), primary_key=True, nullable=False),
        sa.Column("record", sa.String(), nullable=False),
    )
    op.create_table(
        "nodes",
        sa.Column("id", sa.String(), primary_key=True, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("hostname", sa.String(), nullable=False),
    )
    op.create_table(
        "desired",
        sa.Column("placement_id", sa.String(), primary_key=True, nullable=False),
        sa.Column("node_id", sa.String(), nullable=False),
        sa.Column("spec", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
    )
