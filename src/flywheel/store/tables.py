"""The schema as it is now. How it came to be stands in `migrations/`, and a test compares them.

`SCHEMA` names the newest migration; whoever adds one changes it too.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    literal_column,
    text,
)

SCHEMA = "0007"

metadata = MetaData()


class SafeText(TypeDecorator[str]):
    """Text of any origin. What UTF-8 or PostgreSQL cannot hold is written as `\\x00`, `\\udce9`.

    Such characters come from file names in another encoding and from hostile questions; one of
    them must not fail the hundred rows around it. Ordered by code point in both databases.
    """

    impl = Text().with_variant(Text(collation="C"), "postgresql")
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        encoded: bytes = value.encode("utf-8", "backslashreplace")
        return encoded.replace(b"\x00", b"\\x00").decode()


documents = Table(
    "documents",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("source", SafeText, nullable=False),
    Column("path", SafeText, nullable=False),
    Column("title", SafeText, nullable=False),
    Column("language", Text, nullable=False),
    Column("date", Text, nullable=False),
    Column("modified", Double, nullable=False),
    Column("access", JSON, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("fate", Text, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("other", SafeText, nullable=False),
    Column("num_passages", Integer, nullable=False),
    Column("quality", JSON, nullable=False),
    Column("findings", JSON, nullable=False),
    Column("text_hash", Text, nullable=False),
    Column("num_shingles", Integer, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    Column("added_at", Text, nullable=False),
    Column("deleted_at", Text),
    Column("revision", Integer, nullable=False),
    Column("passages_hash", Text, nullable=False),
    # Once true always true: any older index may still hold the labels from before.
    Column("access_changed", Boolean, nullable=False),
    # None on `path`: a name may be longer than what an index of PostgreSQL takes.
    Index("documents_fate", "fate", "deleted_at"),
)
Index(
    "documents_deleted",
    documents.c.deleted_at,
    sqlite_where=documents.c.deleted_at.is_not(None),
    postgresql_where=documents.c.deleted_at.is_not(None),
)
# In the words that SQLAlchemy has for a column that is true: SQLite compares the words.
Index(
    "documents_relabelled",
    documents.c.access_changed,
    sqlite_where=text("access_changed = 1"),
    postgresql_where=documents.c.access_changed,
)

passages = Table(
    "passages",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column(
        "document",
        SafeText,
        ForeignKey("documents.id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    Column("position", Integer, nullable=False),
    Column("title", SafeText, nullable=False),
    Column("headings", JSON, nullable=False),
    Column("text", SafeText, nullable=False),
    Column("language", Text, nullable=False),
)

interactions = Table(
    "interactions",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("at", Text, nullable=False, index=True),
    Column("user", SafeText, nullable=False),
    Column("version", Integer, nullable=False, index=True),
    Column("question", SafeText, nullable=False),
    # The question's normal form, by which those that ask the same are counted together; empty
    # until the next turn in rows of a release that had none, and once erased.
    Column("key", SafeText, nullable=False, server_default=""),
    # Of the first candidate, so that a list of thousands reads none of them.
    Column("kind", Text, nullable=False, server_default=""),
    Column("confidence", Double),
    # Last, since SQLite reads through it to what stands behind: ten times a row's time.
    Column("candidates", JSON, nullable=False),
    Index("interactions_of_user", "user", "at", "id"),
    Index("interactions_of_question", "kind", "key", "at", "id"),
    Index("interactions_confidence", "kind", "confidence", "key"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("user", SafeText, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("question", SafeText, nullable=False),
    Column("interaction", SafeText, nullable=False, index=True),
    Column("candidate", Integer),
    Column("answer", SafeText, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("candidates", JSON, nullable=False),
    Column("order", JSON, nullable=False),
    Column("reason", SafeText, nullable=False),
    # Tells an act that comes again from another one with its id; empty once erased.
    Column("content", Text, nullable=False),
    Index("feedback_kind", "kind", "at", "id"),
)

corrections = Table(
    "corrections",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("key", SafeText, nullable=False, index=True),
    Column("question", SafeText, nullable=False),
    Column("answer", SafeText, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("user", SafeText, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("number", BigInteger, nullable=False, index=True),
    Column("readable", JSON(none_as_null=True)),
    # What follows is marked again and again; what stands above never changes.
    Column("passages", JSON, nullable=False),
    Column("verified", Boolean, nullable=False),
    Column("disputed", Boolean, nullable=False),
    Column("review", SafeText, nullable=False),
    Column("access", JSON, nullable=False),
    Column("withdrawn", SafeText, nullable=False),
    Column("decided_by", SafeText, nullable=False),
    Column("change", BigInteger, nullable=False, index=True),
)
Index(
    "corrections_in_force",
    corrections.c.at,
    corrections.c.number,
    sqlite_where=corrections.c.withdrawn == literal_column("''"),
    postgresql_where=corrections.c.withdrawn == literal_column("''"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("decided_by", SafeText, nullable=False),
    Column("decided_at", Text, nullable=False),
)

exam_items = Table(
    "exam_items",
    metadata,
    Column("id", SafeText, primary_key=True),
    Column("question", SafeText, nullable=False),
    Column("interaction", SafeText, nullable=False, index=True),
    Column("user", SafeText, nullable=False, index=True),
    Column("at", Text, nullable=False),
    # What follows is what a curator says.
    Column("state", Text, nullable=False),
    Column("answer", SafeText, nullable=False),
    Column("evidence", JSON, nullable=False),
    Column("answerable", Boolean, nullable=False),
    Column("decided_by", SafeText, nullable=False, index=True),
)

reviews = Table(
    "reviews",
    metadata,
    # What was decided on, by its kind and its name: "abstained:" and the question's normal form.
    Column("item", SafeText, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("user", SafeText, nullable=False, index=True),
    Column("at", Text, nullable=False),
    # Grows with every decision on it, so that nobody overwrites what he has not seen.
    Column("change", BigInteger, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("created_at", Text, nullable=False),
    Column("parent", Integer, ForeignKey("versions.number")),
    Column("bundle", JSON, nullable=False),
    Column("bundle_hash", Text, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("decision", Text, nullable=False),
    Column("reasons", JSON, nullable=False),
    # The only mark on a version: the erasure that took away what it held or learned from.
    Column("erased", Text),
)

exam_rows = Table(
    "exam_rows",
    metadata,
    Column("version", Integer, ForeignKey("versions.number"), primary_key=True),
    # The id of a question of the exam; the words stand in the exam alone.
    Column("question", SafeText, primary_key=True),
    Column("row", JSON, nullable=False),
)

promotions = Table(
    "promotions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    # None where an erasure left nothing that could serve.
    Column("version", Integer, ForeignKey("versions.number")),
    Column("by", Text, nullable=False),
    Column("user", SafeText, nullable=False),
    Column("reason", SafeText, nullable=False),
    Column("at", Text, nullable=False),
)

version_feedback = Table(
    "version_feedback",
    metadata,
    Column("version", Integer, ForeignKey("versions.number"), primary_key=True),
    Column("feedback", SafeText, primary_key=True, index=True),
)

index_documents = Table(
    "index_documents",
    metadata,
    Column("index", Text, primary_key=True),
    Column("document", SafeText, primary_key=True, index=True),
)

erasures = Table(
    "erasures",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    # A hash of who or what was to be erased, for whoever restores an older copy.
    Column("of", Text, nullable=False, index=True),
    Column("at", Text, nullable=False),
    # None until all of it is done and proven.
    Column("done_at", Text),
)

erased = Table(
    "erased",
    metadata,
    Column("erasure", Text, ForeignKey("erasures.id"), primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("id", SafeText, primary_key=True, index=True),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", SafeText, nullable=False, index=True),
    # SHA-256 of the secret, which has 256 random bits of its own and needs no salt.
    Column("hash", Text, nullable=False, unique=True),
    Column("role", Text, nullable=False),
    # None reads everything.
    Column("access", JSON(none_as_null=True)),
    Column("created_at", Text, nullable=False),
    Column("expires_at", Text),
    Column("revoked_at", Text),
)

sessions = Table(
    "sessions",
    metadata,
    # SHA-256 of the cookie.
    Column("hash", Text, primary_key=True),
    Column("key", Text, ForeignKey("keys.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("csrf", Text, nullable=False),
    Column("expires_at", Text, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", Text, nullable=False),
    Column("user", SafeText, nullable=False, index=True),
    Column("role", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("target", SafeText, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    # Grows with each job: the order in which they run.
    Column("number", Integer, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("user", SafeText, nullable=False, index=True),
    Column("state", Text, nullable=False, index=True),
    Column("created_at", Text, nullable=False),
    Column("started_at", Text),
    Column("ended_at", Text),
    Column("progress", JSON, nullable=False),
    Column("result", JSON, nullable=False),
    Column("error", SafeText, nullable=False),
)

state = Table(
    "state",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", JSON, nullable=False),
)
