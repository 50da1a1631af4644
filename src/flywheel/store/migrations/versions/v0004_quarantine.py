"""What curators decided on feedback that came in a burst."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

# Ordered by code point, as SQLite does.
_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", _text, primary_key=True),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("decided_by", _text, nullable=False),
        sa.Column("decided_at", sa.Text, nullable=False),
    )
