"""Second names of models."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "aliases",
        sa.Column("name", sa.String(), primary_key=True, nullable=False),
        sa.Column("model", sa.String(), nullable=False),
    )
