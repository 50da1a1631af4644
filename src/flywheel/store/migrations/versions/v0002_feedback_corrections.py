"""Feedback and the corrections that it makes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# Ordered by code point, as SQLite does.
_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", _text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("user", _text, nullable=False, index=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("question", _text, nullable=False),
        sa.Column("interaction", _text, nullable=False, index=True),
        sa.Column("candidate", sa.Integer),
        sa.Column("answer", _text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("candidates", sa.JSON, nullable=False),
        sa.Column("order", sa.JSON, nullable=False),
        sa.Column("reason", _text, nullable=False),
        sa.Column("content", sa.Text, nullable=False),
    )
    op.create_table(
        "corrections",
        sa.Column("id", _text, primary_key=True),
        sa.Column("key", _text, nullable=False, index=True),
        sa.Column("question", _text, nullable=False),
        sa.Column("answer", _text, nullable=False),
        sa.Column("evidence", sa.JSON, nullable=False),
        sa.Column("user", _text, nullable=False, index=True),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False, index=True),
        sa.Column("readable", sa.JSON),
        sa.Column("passages", sa.JSON, nullable=False),
        sa.Column("verified", sa.Boolean, nullable=False),
        sa.Column("disputed", sa.Boolean, nullable=False),
        sa.Column("review", _text, nullable=False),
        sa.Column("access", sa.JSON, nullable=False),
        sa.Column("withdrawn", _text, nullable=False),
        sa.Column("decided_by", _text, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False, index=True),
    )
