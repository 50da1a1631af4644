"""How versions did on each question of the exam: values ↔ rows, on the caller's connection.

No words of anybody's: a question is named by its key, a passage by its id. What the questions and
the passages say stands where it always did, and is erased there. Beside its rows a version has one
card, what they come to, under a name that is no question's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select

from flywheel.records import Kind, from_json, to_json
from flywheel.store.tables import exam_rows

_DRAWN = re.compile(r"asked-[0-9a-f]{32}")
"""The id of a question that was drawn from an interaction: the interaction's, and no words."""

_CARD = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExamRow:
    """How one version did on one question."""

    question: str
    """The question's key."""
    digest: str
    """Of what the question asked and expected, so that an edited one is known."""
    language: Literal["en", "zh", "cross-lingual"]
    made: bool = False
    """Whether the question was made from the documents."""
    answerable: bool = True
    kind: Kind
    confidence: float
    hit: bool | None
    """Whether the first citation hits the evidence; None where nobody knows."""
    values: Mapping[str, float] = field(default_factory=dict)
    """Each metric that says something about this question."""
    num_citations: int = 0
    group: str = ""
    """Near-duplicates within one sitting share it; empty is a group of its own."""
    latency_ms: float
    found: tuple[str, ...] = ()
    """The ids of the first passages that were found, best first."""
    gold: tuple[tuple[str, ...], ...] = ()
    """Of each piece of evidence the ids of passages that hold it, or its parts."""


def key_of(id: str) -> str:
    """What a question is known by here: the id of a drawn one, which erasing looks for; a hash of
    any other, since the owner's ids may be words."""
    if _DRAWN.fullmatch(id):
        return id
    return hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def put_all(
    conn: Connection, version: int, card: Mapping[str, Any], rows: Sequence[ExamRow]
) -> None:
    """Keeps how a version sat the exam, in the place of an earlier sitting.

    Args:
        card: JSON-ready.
    """
    conn.execute(delete(exam_rows).where(exam_rows.c.version == version))
    values = [{"version": version, "question": _CARD, "row": dict(card)}]
    for each in rows:
        row = to_json(each)
        values.append({"version": version, "question": row.pop("question"), "row": row})
    conn.execute(insert(exam_rows), values)


def card(conn: Connection, version: int) -> dict[str, Any] | None:
    """What the rows of a version come to; None where none are kept."""
    found: dict[str, Any] | None = conn.scalar(
        select(exam_rows.c.row).where(exam_rows.c.version == version, exam_rows.c.question == _CARD)
    )
    return found


def list_rows(conn: Connection, version: int) -> list[ExamRow]:
    """The rows of a version, by the keys of the questions."""
    query = select(exam_rows.c.question, exam_rows.c.row).where(
        exam_rows.c.version == version, exam_rows.c.question != _CARD
    )
    return [_row(*row) for row in conn.execute(query.order_by(exam_rows.c.question))]


def get(conn: Connection, version: int, question: str) -> ExamRow | None:
    """The row of one question, by its key."""
    query = select(exam_rows.c.question, exam_rows.c.row).where(
        exam_rows.c.version == version, exam_rows.c.question == question
    )
    row = conn.execute(query).one_or_none()
    return None if row is None or question == _CARD else _row(*row)


def _row(question: str, row: dict[str, Any]) -> ExamRow:
    return from_json(ExamRow, {**row, "question": question})
