"""Documents with their passages, interactions, versions, and the state with the champion."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# Ordered by code point, as SQLite does.
_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    _create_documents()
    _create_passages()
    op.create_table(
        "interactions",
        sa.Column("id", _text, primary_key=True),
        sa.Column("at", sa.Text, nullable=False, index=True),
        sa.Column("user", _text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("question", _text, nullable=False),
        sa.Column("candidates", sa.JSON, nullable=False),
    )
    op.create_table(
        "versions",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("parent", sa.Integer, sa.ForeignKey("versions.number")),
        sa.Column("bundle", sa.JSON, nullable=False),
        sa.Column("bundle_hash", sa.Text, nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("reasons", sa.JSON, nullable=False),
    )
    op.create_table(
        "state",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("value", sa.JSON, nullable=False),
    )


def _create_documents() -> None:
    op.create_table(
        "documents",
        sa.Column("id", _text, primary_key=True),
        sa.Column("source", _text, nullable=False),
        sa.Column("path", _text, nullable=False),
        sa.Column("title", _text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("date", sa.Text, nullable=False),
        sa.Column("modified", sa.Double, nullable=False),
        sa.Column("access", sa.JSON, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("fate", sa.Text, nullable=False),
        sa.Column("reason", _text, nullable=False),
        sa.Column("other", _text, nullable=False),
        sa.Column("num_passages", sa.Integer, nullable=False),
        sa.Column("quality", sa.JSON, nullable=False),
        sa.Column("findings", sa.JSON, nullable=False),
        sa.Column("text_hash", sa.Text, nullable=False),
        sa.Column("num_shingles", sa.Integer, nullable=False),
        sa.Column("signature", sa.LargeBinary, nullable=False),
        sa.Column("added_at", sa.Text, nullable=False),
        sa.Column("deleted_at", sa.Text),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("passages_hash", sa.Text, nullable=False),
        sa.Column("access_changed", sa.Boolean, nullable=False),
    )


def _create_passages() -> None:
    op.create_table(
        "passages",
        sa.Column("id", _text, primary_key=True),
        sa.Column(
            "document",
            _text,
            sa.ForeignKey("documents.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("title", _text, nullable=False),
        sa.Column("headings", sa.JSON, nullable=False),
        sa.Column("text", _text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
    )
