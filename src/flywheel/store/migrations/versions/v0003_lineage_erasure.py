"""What each version holds and learned from, the history of promotions, and erasures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

# Ordered by code point, as SQLite does.
_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.add_column("versions", sa.Column("erased", sa.Text))
    _create_promotions()
    op.create_table(
        "version_feedback",
        sa.Column("version", sa.Integer, sa.ForeignKey("versions.number"), primary_key=True),
        sa.Column("feedback", _text, primary_key=True, index=True),
    )
    op.create_table(
        "index_documents",
        sa.Column("index", sa.Text, primary_key=True),
        sa.Column("document", _text, primary_key=True, index=True),
    )
    op.create_table(
        "erasures",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("of", sa.Text, nullable=False, index=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("done_at", sa.Text),
    )
    op.create_table(
        "erased",
        sa.Column("erasure", sa.Text, sa.ForeignKey("erasures.id"), primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("id", _text, primary_key=True, index=True),
    )


def _create_promotions() -> None:
    op.create_table(
        "promotions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("version", sa.Integer, sa.ForeignKey("versions.number")),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("user", _text, nullable=False),
        sa.Column("reason", _text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
    )
    # Until now only the gate promoted, and each version once.
    op.execute(
        """INSERT INTO promotions (number, version, "by", "user", reason, at)
        SELECT number, number, 'gate', '', '', created_at FROM versions
        WHERE decision = 'promoted'"""
    )
