"""What a console lists: questions by user and by what became of them, reviews, exam rows.

Columns and indexes that let a page of a long list be read without the rest of it.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

# Ordered by code point, as SQLite does.
_text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_BATCH = 500
_interactions = sa.table(
    "interactions",
    sa.column("id", _text),
    sa.column("candidates", sa.JSON),
    sa.column("kind", sa.Text),
    sa.column("confidence", sa.Double),
)


def upgrade() -> None:
    _add_columns()
    _fill(op.get_bind())
    op.create_index("ix_interactions_version", "interactions", ["version"])
    op.create_index("interactions_of_user", "interactions", ["user", "at", "id"])
    op.create_index("interactions_of_question", "interactions", ["kind", "key", "at", "id"])
    op.create_index("interactions_confidence", "interactions", ["kind", "confidence", "key"])
    op.create_index("feedback_kind", "feedback", ["kind", "at", "id"])
    op.create_index("documents_fate", "documents", ["fate", "deleted_at"])
    _partial("documents_deleted", "documents", ["deleted_at"], "deleted_at IS NOT NULL")
    is_true = (
        "access_changed" if op.get_bind().dialect.name == "postgresql" else "access_changed = 1"
    )
    _partial("documents_relabelled", "documents", ["access_changed"], is_true)
    _partial("corrections_in_force", "corrections", ["at", "number"], "withdrawn = ''")
    op.create_table(
        "reviews",
        sa.Column("item", _text, primary_key=True),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("user", _text, nullable=False, index=True),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "exam_rows",
        sa.Column("version", sa.Integer, sa.ForeignKey("versions.number"), primary_key=True),
        sa.Column("question", _text, primary_key=True),
        sa.Column("row", sa.JSON, nullable=False),
    )


def _add_columns() -> None:
    """SQLite reads through the candidates to what stands behind them: there the table is copied,
    and they stay last."""
    copies = op.get_bind().dialect.name == "sqlite"
    with op.batch_alter_table("interactions", recreate="always" if copies else "never") as table:
        for column in (
            sa.Column("key", _text, nullable=False, server_default=""),
            sa.Column("kind", sa.Text, nullable=False, server_default=""),
            sa.Column("confidence", sa.Double),
        ):
            table.add_column(column, insert_before="candidates" if copies else None)


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _fill(conn: sa.Connection) -> None:
    """The first candidate's kind and confidence; read here, since PostgreSQL refuses to take
    apart what has half of a surrogate pair in it."""
    columns = _interactions.c
    page = sa.select(columns.id, columns.candidates).order_by(columns.id).limit(_BATCH)
    filled = (
        sa.update(_interactions)
        .where(columns.id == sa.bindparam("of"))
        .values(kind=sa.bindparam("its_kind"), confidence=sa.bindparam("its_confidence"))
    )
    last = ""
    while rows := conn.execute(page.where(columns.id > last)).all():
        last = rows[-1].id
        firsts = [_first(row.id, row.candidates) for row in rows if row.candidates]
        if firsts:
            conn.execute(filled, firsts)


def _first(id: str, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "of": id,
        "its_kind": candidates[0].get("kind", ""),
        "its_confidence": candidates[0].get("confidence"),
    }
