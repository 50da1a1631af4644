"""Documents as they are looked through: in pages, by filters, and counted. Rows → values.

Who may read what is decided here, in the query: a page is full although much is hidden. Not here:
what is done to documents (documents.py), and what is asked for (wheel/documents/report.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    and_,
    case,
    cast,
    exists,
    func,
    or_,
    select,
    true,
    tuple_,
)

from flywheel.records import PUBLIC, Fate, Language, Passage
from flywheel.store.tables import documents, index_documents, interactions, passages

CHARACTERS_PER_BIN = 100
WORDS_PER_BIN = 50
"""The width of the bars that lengths of passages are counted in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A document, as a list shows it."""

    id: str
    source: str
    path: str
    title: str
    language: Language
    fate: Fate
    reason: str
    other: str
    """The id of the document that won over it."""
    num_passages: int
    date: str
    access: tuple[str, ...]
    added_at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is looked for; empty is all."""

    fate: str = ""
    source: str = ""
    label: str = ""
    words: str = ""
    """A part of the path or the title."""
    other: str = ""
    """Those that gave way to the document of this id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Documents that agree in all of this."""

    source: str
    fate: Fate
    language: Language
    reason: str
    access: tuple[str, ...]
    num_documents: int
    num_passages: int
    size: int
    """Bytes of the files."""
    added_at: str
    """The latest of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """How many passages are of a length."""

    chinese: bool
    """Counted in characters; else in words."""
    number: int
    """Of the bar, from 0."""
    count: int


def page(
    conn: Connection,
    wanted: Wanted,
    limit: int,
    after: tuple[str, str] | None = None,
    labels: Sequence[str] | None = None,
) -> list[Row]:
    """Documents that are not deleted, by source and path; at most so many.

    Args:
        after: goes on behind this source and path.
        labels: those who may be listed to whom; None is everybody.
    """
    columns = [documents.c[name] for name in Row.__dataclass_fields__]
    query = select(*columns).where(_there, *_conditions(conn, wanted, labels))
    if after:
        query = query.where(tuple_(documents.c.source, documents.c.path) > after)
    query = query.order_by(documents.c.source, documents.c.path).limit(limit)
    rows = [dict(row._mapping) for row in conn.execute(query)]
    return [Row(**{**row, "access": tuple(row["access"])}) for row in rows]


def tally(conn: Connection, labels: Sequence[str] | None = None) -> list[Tally]:
    """Documents that are not deleted, counted."""
    shared = [documents.c[name] for name in ("source", "fate", "language", "reason")]
    access = cast(documents.c.access, Text)
    query = select(
        *shared,
        access.label("access"),
        func.count().label("num_documents"),
        func.sum(documents.c.num_passages).label("num_passages"),
        func.sum(documents.c.size).label("size"),
        func.max(documents.c.added_at).label("added_at"),
    ).where(_there, _readable(conn, labels))
    found = []
    for row in conn.execute(query.group_by(*shared, access)):
        values = dict(row._mapping)
        values["access"] = tuple(json.loads(values["access"]))
        found.append(Tally(**{**values, "size": int(row.size)}))
    return found


def findings(conn: Connection, labels: Sequence[str] | None = None) -> list[dict[str, int]]:
    """The personal data of each document that holds some."""
    some = cast(documents.c.findings, Text) != "{}"
    query = select(documents.c.findings).where(_there, some, _readable(conn, labels))
    return list(conn.scalars(query))


def lengths(conn: Connection, labels: Sequence[str] | None = None) -> list[Bin]:
    """How long the passages of kept documents are; reads all of them."""
    text = passages.c.text
    chinese = passages.c.language.in_(("zh-hans", "zh-hant", "mixed"))
    num_words = func.length(text) - func.length(func.replace(text, " ", "")) + 1
    number = case(
        (chinese, (func.length(text) - 1) // CHARACTERS_PER_BIN),
        else_=(num_words - 1) // WORDS_PER_BIN,
    )
    counted = (
        select(chinese.label("chinese"), number.label("number"))
        .join_from(passages, documents)
        .where(_there, documents.c.fate == "kept", _readable(conn, labels))
        .subquery()
    )
    query = select(counted.c.chinese, counted.c.number, func.count())
    rows = conn.execute(query.group_by(counted.c.chinese, counted.c.number))
    bins = [Bin(chinese=bool(row[0]), number=int(row[1]), count=row[2]) for row in rows]
    return sorted(bins, key=lambda each: (each.chinese, each.number))


def passages_of(conn: Connection, document: str, after: int = -1, limit: int = -1) -> list[Passage]:
    """A document's passages in their order, whatever became of it.

    Args:
        after: goes on behind this position.
        limit: how many at most; negative gives all.
    """
    columns = [documents.c.path, documents.c.access]
    query = (
        select(passages, *columns)
        .join_from(passages, documents)
        .where(passages.c.document == document, passages.c.position > after)
        .order_by(passages.c.position)
    )
    rows = conn.execute(query if limit < 0 else query.limit(limit))
    return [
        Passage(
            **{
                **row._mapping,
                "headings": tuple(row.headings),
                "access": tuple(row.access),
            }
        )
        for row in rows
    ]


def passage_ids(conn: Connection, document: str) -> list[str]:
    """The ids of a document's passages."""
    return list(conn.scalars(select(passages.c.id).where(passages.c.document == document)))


def is_held(conn: Connection, index: str, document: str) -> bool:
    """Whether an index holds anything of a document."""
    held = (index_documents.c.index == index) & (index_documents.c.document == document)
    return bool(conn.scalar(select(exists().where(held))))


def count_unheld(conn: Connection, index: str, labels: Sequence[str] | None = None) -> int:
    """How many kept documents an index holds nothing of."""
    held = exists().where(
        index_documents.c.index == index, index_documents.c.document == documents.c.id
    )
    query = select(func.count()).select_from(documents)
    return (
        conn.scalar(query.where(_there, documents.c.fate == "kept", ~held, _readable(conn, labels)))
        or 0
    )


def naming(conn: Connection, document: str, latest: int) -> list[str]:
    """The ids of those of the latest interactions that show something of a document, the latest
    first."""
    recent = (
        select(interactions.c.id, interactions.c.at, interactions.c.candidates)
        .order_by(interactions.c.at.desc(), interactions.c.id.desc())
        .limit(latest)
        .subquery()
    )
    named = cast(recent.c.candidates, Text).contains(f'"{document}"', autoescape=True)
    query = select(recent.c.id).where(named)
    return list(conn.scalars(query.order_by(recent.c.at.desc(), recent.c.id.desc())))


def sources(conn: Connection) -> dict[str, frozenset[tuple[str, ...]]]:
    """Every source that something is known of, with the different labels of its documents."""
    access = cast(documents.c.access, Text)
    query = select(documents.c.source, access).where(_there).distinct()
    found: dict[str, set[tuple[str, ...]]] = {}
    for source, labels in conn.execute(query):
        found.setdefault(source, set()).add(tuple(json.loads(labels)))
    return {source: frozenset(every) for source, every in found.items()}


_there = documents.c.deleted_at.is_(None)


def _conditions(
    conn: Connection, wanted: Wanted, labels: Sequence[str] | None
) -> list[ColumnElement[bool]]:
    columns = documents.c
    conditions = [_readable(conn, labels)]
    if wanted.fate:
        conditions.append(columns.fate == wanted.fate)
    if wanted.source:
        conditions.append(columns.source == wanted.source)
    if wanted.other:
        conditions.append(columns.other == wanted.other)
    if wanted.label:
        conditions.append(_carrying(conn, {wanted.label}))
    for word in wanted.words.split():
        held = [each.icontains(word, autoescape=True) for each in (columns.path, columns.title)]
        conditions.append(or_(*held))
    return [and_(*conditions)]


def _readable(conn: Connection, labels: Sequence[str] | None) -> ColumnElement[bool]:
    return true() if labels is None else _carrying(conn, {PUBLIC, *labels})


def _carrying(conn: Connection, labels: set[str]) -> ColumnElement[bool]:
    """Documents that carry one of these labels. PostgreSQL compares no JSON, and there are few
    different sets of labels: as texts."""
    access = cast(documents.c.access, Text)
    every: list[Any] = list(conn.scalars(select(access).distinct()))
    return access.in_([text for text in every if not labels.isdisjoint(json.loads(text))])
