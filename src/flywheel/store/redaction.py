"""Redaction: which rows an erasure takes, and what each table gives up.

`TABLES` is the whole of it: a table that holds what users or documents say has one function there,
which empties its rows and gives the texts that it took away, for the proof that they are gone. The
ids stay, so that an erased act cannot come in again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from ahocorasick_rs import AhoCorasick
from sqlalchemy import Connection, Table, Text, and_, cast, delete, func, select, update

from flywheel.store import corrections as correction_store
from flywheel.store import documents as document_store
from flywheel.store import exam_items as exam_item_store
from flywheel.store import state
from flywheel.store.groups import in_groups
from flywheel.store.tables import (
    audit,
    corrections,
    documents,
    exam_items,
    exam_rows,
    feedback,
    interactions,
    jobs,
    keys,
    metadata,
    passages,
    promotions,
    quarantine,
    reviews,
    sessions,
)

ERASED = "erased"
"""What a withdrawn correction and a document say of themselves afterwards."""

_ABOUT_SOURCE = ("collected_with", "access")
"""State rows whose name ends in a source's (wheel/ingest.py)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    """The rows that an erasure takes, by id."""

    interactions: frozenset[str] = frozenset()
    shown: frozenset[str] = frozenset()
    """Others' interactions: the questions stay, what was shown goes."""
    feedback: frozenset[str] = frozenset()
    """Acts, and the corrections that they made."""
    documents: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    """Those of the documents whose source stays: adding it again leaves them out."""
    sources: frozenset[str] = frozenset()
    """Sources of which nothing stays."""
    exam_items: frozenset[str] = frozenset()
    """Drawn questions of the exam whose gold answer or evidence was of it: the questions stay."""
    user: str = ""
    """Whose name goes from rows of others."""

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))


def redact(conn: Connection, items: Items) -> set[str]:
    """Empties all rows of these items. Returns the texts that were in them."""
    return {text for table in TABLES for text in table(conn, items) if text}


def of_user(conn: Connection, user: str) -> Items:
    """What a user asked and did, and what others said about his interactions.

    Those repeat his questions and what he was answered.
    """
    asked = set(conn.scalars(select(interactions.c.id).where(interactions.c.user == user)))
    acts = set(conn.scalars(select(feedback.c.id).where(feedback.c.user == user)))
    return Items(
        interactions=frozenset(asked),
        feedback=frozenset(acts | acts_on(conn, asked)),
        user=user if _is_named(conn, user) else "",
    )


def of_interaction(conn: Connection, id: str) -> Items:
    """One interaction and what was said about it."""
    there = and_(interactions.c.id == id, interactions.c.user != "")
    asked = set(conn.scalars(select(interactions.c.id).where(there)))
    return Items(interactions=frozenset(asked), feedback=frozenset(acts_on(conn, asked)))


def acts_on(conn: Connection, asked: Iterable[str]) -> set[str]:
    """The ids of what was said to these interactions."""
    found: set[str] = set()
    for group in in_groups(sorted(asked)):
        on = and_(feedback.c.interaction.in_(group), feedback.c.content != "")
        found |= set(conn.scalars(select(feedback.c.id).where(on)))
    return found


def _is_named(conn: Connection, user: str) -> bool:
    """Whether a user's name stands on anything of others."""
    decided = select(corrections.c.id).where(corrections.c.decided_by == user).limit(1)
    promoted = select(promotions.c.number).where(promotions.c.user == user).limit(1)
    judged = select(quarantine.c.id).where(quarantine.c.decided_by == user).limit(1)
    answered = select(exam_items.c.id).where(exam_items.c.decided_by == user).limit(1)
    held = select(keys.c.id).where(keys.c.name == user).limit(1)
    acted = select(audit.c.number).where(audit.c.user == user).limit(1)
    ordered = select(jobs.c.id).where(jobs.c.user == user).limit(1)
    reviewed = select(reviews.c.item).where(reviews.c.user == user).limit(1)
    asked = (decided, promoted, judged, answered, held, acted, ordered, reviewed)
    return any(conn.scalar(each) is not None for each in asked)


def resting_on(conn: Connection, passages_gone: set[str]) -> set[str]:
    """The ids of corrections all of whose evidence stands in these passages."""
    query = select(corrections.c.id, corrections.c.passages).where(corrections.c.question != "")
    gone = (row for row in conn.execute(query) if row.passages)
    return {row.id for row in gone if passages_gone.issuperset(row.passages)}


def shown(conn: Connection) -> Iterator[tuple[str, str, str]]:
    """Of each interaction its id, its question, and as JSON what was shown.

    Streams: use it while the connection is open.
    """
    columns = interactions.c
    query = select(columns.id, columns.question, cast(columns.candidates, Text))
    for row in conn.execute(query.execution_options(yield_per=200)):
        yield row[0], row[1], row[2]


def said(conn: Connection) -> Iterator[tuple[str, str, list[str]]]:
    """Of each act its id, its kind and its texts.

    Streams: use it while the connection is open.
    """
    query = select(feedback).where(feedback.c.content != "")
    for row in conn.execute(query.execution_options(yield_per=1000)):
        texts = [row.question, row.answer, row.reason, *row.evidence, *row.candidates]
        yield row.id, row.kind, texts


def rows(conn: Connection, table: Table, without: Collection[str] = ()) -> Iterator[str]:
    """Every text in a table, those of the rows of these ids left out.

    Streams: use it while the connection is open.
    """
    query = select(table).execution_options(yield_per=1000)
    owner = "document" if table is passages else "id" if "id" in table.c else None
    for row in conn.execute(query):
        if owner is None or row._mapping[owner] not in without:
            yield from strings(list(row))


def every_table() -> Sequence[Table]:
    """All tables, those of later releases too."""
    return metadata.sorted_tables


def correction_keys(conn: Connection, ids: Iterable[str]) -> set[str]:
    """The normal forms of the questions that these corrections in force answer."""
    found = _taken(conn, corrections, ids)
    return {row.key for row in found if not row.withdrawn}


def answers_of(conn: Connection, ids: Iterable[str]) -> set[str]:
    """What these corrections answer: the words that were shown to others."""
    return {row.answer for row in _taken(conn, corrections, ids) if row.answer}


def passages_of(conn: Connection, ids: Iterable[str]) -> dict[str, str]:
    """The texts of these documents' passages, by the passages' ids."""
    return {row.id: row.text for row in _taken(conn, passages, ids, passages.c.document)}


def strings(value: Any) -> Iterator[str]:
    """Every text within a JSON-ready value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield str(key)
            yield from strings(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from strings(each)


def _redact_interactions(conn: Connection, items: Items) -> Iterator[str]:
    """What was shown is the documents' text, or a correction's: those give it themselves."""
    for row in _taken(conn, interactions, items.interactions):
        yield from (row.question, row.user, row.key)
    _empty(
        conn, interactions, items.interactions, question="", user="", candidates=[], key="",
        kind="", confidence=None,
    )  # fmt: skip


def _redact_shown(conn: Connection, items: Items) -> Iterator[str]:
    _empty(conn, interactions, items.shown, candidates=[], kind="", confidence=None)
    return iter(())


def _redact_feedback(conn: Connection, items: Items) -> Iterator[str]:
    """Only an edit's answer is its user's; the others repeat what was shown."""
    for row in _taken(conn, feedback, items.feedback):
        yield from (row.question, row.reason, row.user, *row.evidence)
        yield row.answer if row.kind == "edit" else ""
    _empty(
        conn, feedback, items.feedback, question="", answer="", reason="", user="",
        evidence=[], candidates=[], order=[], content="",
    )  # fmt: skip


def _redact_corrections(conn: Connection, items: Items) -> Iterator[str]:
    for row in _taken(conn, corrections, items.feedback):
        yield from (row.question, row.answer, row.key, row.user, *row.evidence)
    change = correction_store.latest_change(conn) + 1
    # The new number lets every open workspace know.
    _empty(
        conn, corrections, items.feedback, question="", answer="", key="", user="", review="",
        evidence=[], passages=[], readable=None, decided_by="", withdrawn=ERASED, change=change,
    )  # fmt: skip


def _redact_reviews(conn: Connection, items: Items) -> Iterator[str]:
    """What was decided on names the question. Before the tables that give up their keys."""
    keys = {row.key for row in _taken(conn, interactions, items.interactions)}
    keys |= {row.key for row in _taken(conn, corrections, items.feedback)}
    every = conn.scalars(select(reviews.c.item)).all() if keys - {""} else ()
    named = [item for item in every if item.partition(":")[2] in keys]
    for group in in_groups(named):
        conn.execute(delete(reviews).where(reviews.c.item.in_(group)))
    return iter(named)


def _redact_exam_rows(conn: Connection, items: Items) -> Iterator[str]:
    """A question that was drawn is named by its interaction."""
    drawn = (f"asked-{each}" for each in sorted(items.interactions))
    for group in in_groups(drawn):
        conn.execute(delete(exam_rows).where(exam_rows.c.question.in_(group)))
    return iter(())


def _redact_exam_items(conn: Connection, items: Items) -> Iterator[str]:
    """A drawn question goes with its interaction; what a curator says to it, with himself or with
    what it was taken from. Then it waits for another one."""
    for row in _taken(conn, exam_items, items.interactions, exam_items.c.interaction):
        yield from (row.question, row.answer, row.user, *row.evidence)
    exam_item_store.erase_interactions(conn, sorted(items.interactions))
    if items.user:
        exam_item_store.erase_user(conn, items.user)
    for row in _taken(conn, exam_items, items.exam_items):
        yield row.answer
        exam_item_store.blank(conn, row.id)


_FORGOTTEN: dict[str, dict[str, Any]] = {"add": {"files": []}, "source": {"source": ""}}
"""What a job of a kind is told instead."""


def _redact_jobs(conn: Connection, items: Items) -> Iterator[str]:
    """A job that names an erased file forgets what it was told and came to; a queued one of
    uploads does as before, since what it adds is a folder."""
    names = {row.path for row in _taken(conn, documents, items.documents)} | items.sources
    names.discard("")
    if not names:
        return iter(())
    named = AhoCorasick(sorted(names))  # a source may hold a hundred thousand
    for row in conn.execute(select(jobs)).all():
        told = "\n".join([*strings(row.arguments), *strings(row.result), row.error])
        if named.find_matches_as_indexes(told):
            arguments = row.arguments | _FORGOTTEN.get(row.kind, {})
            error = ERASED if row.error else ""
            chosen = update(jobs).where(jobs.c.id == row.id)
            conn.execute(chosen.values(arguments=arguments, result={}, error=error))
    return iter(())


def _remove_documents(conn: Connection, items: Items) -> Iterator[str]:
    """The rows stay as tombstones, which every version respects."""
    for row in _taken(conn, passages, items.documents, passages.c.document):
        yield row.text
    for group in in_groups(sorted(items.documents)):
        conn.execute(delete(passages).where(passages.c.document.in_(group)))
    _empty(
        conn, documents, items.documents, source="", path="", title="", date="", sha256="",
        text_hash="", passages_hash="", reason=ERASED, fate="dropped", other="", quality={},
        findings={}, signature=b"", size=0, modified=0.0, num_passages=0, num_shingles=0,
        revision=documents.c.revision + 1,
        deleted_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    document_store.mark_changed(conn)


def _clean_state(conn: Connection, items: Items) -> Iterator[str]:
    for source in items.sources:
        for name in _ABOUT_SOURCE:
            state.remove(conn, f"{name}:{source}")
    return iter(())


def _forget_name(conn: Connection, items: Items) -> Iterator[str]:
    """A curator's name stands on the corrections of others that he decided on."""
    if items.user:
        decided = corrections.c.decided_by == items.user
        conn.execute(update(corrections).where(decided).values(decided_by=""))
        own = promotions.c.user == items.user
        conn.execute(update(promotions).where(own).values(user="", reason=""))
        judged = quarantine.c.decided_by == items.user
        conn.execute(update(quarantine).where(judged).values(decided_by=""))
        conn.execute(update(audit).where(audit.c.user == items.user).values(user=""))
        conn.execute(update(jobs).where(jobs.c.user == items.user).values(user=""))
        conn.execute(update(reviews).where(reviews.c.user == items.user).values(user=""))
        _withdraw_keys(conn, items.user)
    return iter(())


def _withdraw_keys(conn: Connection, user: str) -> None:
    """A key acts as its user: nobody acts as one who was erased."""
    held = keys.c.name == user
    ids = select(keys.c.id).where(held)
    conn.execute(delete(sessions).where(sessions.c.key.in_(ids)))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    revoked = func.coalesce(keys.c.revoked_at, now)
    conn.execute(update(keys).where(held).values(name="", revoked_at=revoked))


TABLES: tuple[Callable[[Connection, Items], Iterable[str]], ...] = (
    _redact_reviews,
    _redact_interactions,
    _redact_shown,
    _redact_feedback,
    _redact_corrections,
    _redact_exam_items,
    _redact_exam_rows,
    _redact_jobs,
    _remove_documents,
    _clean_state,
    _forget_name,
)


def _taken(conn: Connection, table: Table, ids: Iterable[str], column: Any = None) -> Iterator[Any]:
    for group in in_groups(sorted(ids)):
        chosen = (table.c.id if column is None else column).in_(group)
        yield from conn.execute(select(table).where(chosen)).all()


def _empty(conn: Connection, table: Table, ids: Iterable[str], **values: Any) -> None:
    for group in in_groups(sorted(ids)):
        conn.execute(update(table).where(table.c.id.in_(group)).values(values))
