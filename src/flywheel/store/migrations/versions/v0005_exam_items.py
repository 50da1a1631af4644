"""Questions drawn for the exam, and what curators say to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

# Ordered by code point, as SQLite does.
_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "exam_items",
        sa.Column("id", _text, primary_key=True),
        sa.Column("question", _text, nullable=False),
        sa.Column("interaction", _text, nullable=False, index=True),
        sa.Column("user", _text, nullable=False, index=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("answer", _text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("answerable", sa.Boolean, nullable=False),
        sa.Column("decided_by", _text, nullable=False, index=True),
    )
