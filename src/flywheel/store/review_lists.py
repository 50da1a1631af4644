"""What waits for curators and what they said, as lean rows: what a list shows and is ordered by.

On the caller's connection. Who may read it, and what is waiting at all, is for the wheel to say
(wheel/review/queue.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import get_args

from sqlalchemy import (
    ColumnElement,
    Connection,
    Text,
    case,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
)

from flywheel.records import Kind
from flywheel.store.groups import in_groups
from flywheel.store.tables import corrections, feedback, interactions, reviews

_KINDS = ("", *get_args(Kind))
_REPEATED = 5
"""So many unsure answers are read for each question that is listed: one may be asked often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitingCorrection:
    """A correction in force that is not verified, or due for review."""

    id: str
    key: str
    question: str
    answer: str
    at: str
    verified: bool
    disputed: bool
    review: str
    access: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """That somebody flagged an answer."""

    id: str
    interaction: str
    """Empty where it was flagged without one."""
    question: str
    at: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question, by the last time that it came to what is looked for."""

    id: str
    """Of that interaction."""
    key: str
    question: str
    at: str
    confidence: float | None
    num: int = 1
    """How often it was asked, or left unanswered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """What was shown in an interaction, as far as a list says it."""

    key: str
    kind: str
    confidence: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgedCorrection:
    """A correction that a curator gave or decided on."""

    key: str
    answer: str
    user: str
    """The curator who gave it; empty where an asker did."""
    decided_by: str
    withdrawn: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A correction as it was said and decided on, whether it is in force or not."""

    id: str
    key: str
    question: str
    answer: str
    evidence: tuple[str, ...]
    role: str
    at: str
    verified: bool
    withdrawn: str
    decided_by: str
    access: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What a curator said of an answer."""

    kind: str
    user: str
    question: str
    answer: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Stood:
    """What an interaction rests on, as JSON; and whose it is."""

    user: str
    candidates: str


def waiting_corrections(conn: Connection) -> list[WaitingCorrection]:
    """Every correction in force that waits for a curator, the first one first."""
    columns = corrections.c
    waits = or_(columns.verified.is_(False), columns.review != "")
    query = select(
        columns.id,
        columns.key,
        columns.question,
        columns.answer,
        columns.at,
        columns.verified,
        columns.disputed,
        columns.review,
        # As text, since thousands say the same few things.
        cast(columns.access, Text),
    ).where(columns.withdrawn == "", waits)
    rows = conn.execute(query.order_by(columns.at, columns.number)).all()
    read = {text: tuple(json.loads(text)) for text in {row[-1] for row in rows}}
    return [
        WaitingCorrection(
            id=id,
            key=key,
            question=question,
            answer=answer,
            at=at,
            verified=verified,
            disputed=disputed,
            review=review,
            access=read[access],
        )
        for id, key, question, answer, at, verified, disputed, review, access in rows
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Closing:
    """What closes a question for good, beside a correction: decisions on it."""

    kinds: Sequence[str]
    """Of the items that they are kept under."""
    decisions: Sequence[str]


def abstained(conn: Connection, limit: int, closing: Closing) -> list[Asked]:
    """The questions that were left unanswered and still are, those asked most first."""
    columns = interactions.c
    grouped = (
        select(columns.key, func.count().label("num"))
        .where(columns.kind == "abstain", columns.key != "")
        .group_by(columns.key)
        .subquery()
    )
    counted = (
        select(grouped.c.key, grouped.c.num)
        .where(*_are_open(grouped.c.key, closing))
        .order_by(grouped.c.num.desc(), grouped.c.key)
        .limit(limit)
    )
    counts = {row.key: row.num for row in conn.execute(counted)}
    latest = _latest(conn, "abstain", list(counts))
    return [replace(latest[key], num=num) for key, num in counts.items() if key in latest]


def unsure(conn: Connection, below: float, limit: int, closing: Closing) -> list[Asked]:
    """The questions that were answered with little confidence and not corrected since, the least
    first."""
    columns = interactions.c
    scanned = (
        select(columns.key, columns.confidence)
        .where(columns.kind == "answer", columns.confidence < below)
        .where(*_are_open(columns.key, closing))
        .order_by(columns.confidence, columns.key)
        .limit(_REPEATED * limit)
    )
    least: dict[str, float] = {}
    for row in conn.execute(scanned):
        if row.key and len(least) < limit:
            least.setdefault(row.key, row.confidence)
    latest = _latest(conn, "answer", list(least))
    counts = asked(conn, list(latest))
    return [
        replace(latest[key], num=counts[key], confidence=confidence)
        for key, confidence in least.items()
        if key in latest
    ]


def _are_open(key: ColumnElement[str], closing: Closing) -> Iterator[ColumnElement[bool]]:
    """Those of the questions that wait. Asked of the database, since of a list's first hundreds
    all may be closed."""
    yield ~exists().where(corrections.c.key == key, corrections.c.withdrawn == "")
    named = [literal(f"{kind}:", Text).concat(key) for kind in closing.kinds]
    yield ~exists().where(reviews.c.item.in_(named), reviews.c.decision.in_(closing.decisions))


def _latest(conn: Connection, kind: Kind, keys: Sequence[str]) -> dict[str, Asked]:
    """The last interaction of each question that came to this."""
    found: dict[str, Asked] = {}
    columns = interactions.c
    newest_first = columns.at.desc(), columns.id.desc()
    for group in in_groups(keys):
        place = func.row_number().over(partition_by=columns.key, order_by=newest_first)
        ranked = select(columns.id, place.label("place"))
        # First the ids, which an index has, then their rows: a join reads all of that kind.
        every = ranked.where(columns.kind == kind, columns.key.in_(group)).subquery()
        last = select(every.c.id).where(every.c.place == 1)
        named = [columns[name] for name in ("id", "key", "question", "at", "confidence")]
        for row in conn.execute(select(*named).where(columns.id.in_(last))):
            found[row.key] = Asked(**row._mapping)
    return found


def last_asked(conn: Connection, keys: Sequence[str]) -> dict[str, str]:
    """The last interaction of each of these questions, by its normal form."""
    columns = interactions.c
    found: dict[str, str] = {}
    for group in in_groups(keys):
        these = columns.kind.in_(_KINDS), columns.key.in_(group)
        query = select(columns.key, columns.id).where(*these)
        found.update(iter(conn.execute(query.order_by(columns.at, columns.id))))
    return found


def flags(conn: Connection, limit: int) -> list[Flag]:
    """What was flagged since it was decided on last, and not taken back by who flagged it; the
    latest first."""
    columns, later = feedback.c, feedback.alias()
    taken_back = exists().where(
        later.c.interaction == columns.interaction,
        # As no bare column, lest all that was ever taken back is gone through for each flag.
        func.coalesce(later.c.kind, "") == "retract",
        later.c.user == columns.user,
        func.coalesce(later.c.candidate, 0) == func.coalesce(columns.candidate, 0),
        later.c.at >= columns.at,
        columns.interaction != "",
    )
    about = case((columns.interaction != "", columns.interaction), else_=columns.id)
    decided = exists().where(
        reviews.c.item == literal("flagged:", Text).concat(about), reviews.c.at >= columns.at
    )
    query = (
        select(columns.id, columns.interaction, columns.question, columns.at)
        .where(columns.kind == "flag", columns.content != "", ~taken_back, ~decided)
        .order_by(columns.at.desc(), columns.id.desc())
        .limit(limit)
    )
    return [Flag(**row._mapping) for row in conn.execute(query)]


def last_flag(conn: Connection) -> str:
    """When an answer was flagged last; empty where none was."""
    query = select(func.max(feedback.c.at)).where(feedback.c.kind == "flag")
    return conn.scalar(query) or ""


def asked(conn: Connection, keys: Sequence[str]) -> dict[str, int]:
    """How often each of these questions was asked, by its normal form."""
    counts: dict[str, int] = {}
    columns = interactions.c
    for group in in_groups(keys):
        # All kinds are named, so that the index is found.
        query = (
            select(columns.key, func.count())
            .where(columns.kind.in_(_KINDS), columns.key.in_(group))
            .group_by(columns.key)
        )
        counts.update(iter(conn.execute(query)))
    return counts


def askers(conn: Connection, key: str) -> int:
    """How many users asked a question."""
    columns = interactions.c
    query = select(func.count(columns.user.distinct()))
    return conn.scalar(query.where(columns.kind.in_(_KINDS), columns.key == key)) or 0


def shown(conn: Connection, ids: Sequence[str]) -> dict[str, Shown]:
    """What these interactions showed, by their ids."""
    columns = interactions.c
    found: dict[str, Shown] = {}
    for group in in_groups(ids):
        query = select(columns.id, columns.key, columns.kind, columns.confidence)
        for row in conn.execute(query.where(columns.id.in_(group))):
            found[row.id] = Shown(key=row.key, kind=row.kind, confidence=row.confidence)
    return found


def stood_on(conn: Connection, ids: Sequence[str]) -> dict[str, Stood]:
    """What these interactions rest on, by their ids; not of those that were erased."""
    columns = interactions.c
    found: dict[str, Stood] = {}
    for group in in_groups(ids):
        query = select(columns.id, columns.user, cast(columns.candidates, Text).label("held"))
        for row in conn.execute(query.where(columns.id.in_(group), columns.question != "")):
            found[row.id] = Stood(user=row.user, candidates=row.held)
    return found


def num_acts(conn: Connection) -> int:
    """How many acts of feedback there are, erased ones too: another number after each one."""
    return conn.scalar(select(func.count()).select_from(feedback)) or 0


def times_of_askers(conn: Connection) -> list[tuple[str, str, str]]:
    """The id, user and time of every asker's act that was not erased, and takes nothing back."""
    columns = feedback.c
    query = select(columns.id, columns.user, columns.at)
    says = columns.role == "asker", columns.content != "", columns.kind != "retract"
    rows = conn.execute(query.where(*says))
    return [(row.id, row.user, row.at) for row in rows]


def judged_corrections(conn: Connection) -> list[JudgedCorrection]:
    """Every correction that a curator or an owner gave or decided on, the first one first."""
    columns = corrections.c
    query = select(
        columns.key,
        columns.answer,
        columns.user,
        columns.role,
        columns.decided_by,
        columns.withdrawn,
    ).where(columns.key != "", or_(columns.role != "asker", columns.decided_by != ""))
    return [
        JudgedCorrection(
            key=row.key,
            answer=row.answer,
            user="" if row.role == "asker" else row.user,
            decided_by=row.decided_by,
            withdrawn=row.withdrawn,
        )
        for row in conn.execute(query.order_by(columns.at, columns.number))
    ]


def said_after(conn: Connection, key: str, limit: int) -> list[Said]:
    """What was said to the next questions behind this one, by their normal forms; not what was
    erased.

    Args:
        limit: of questions, of each of which all is given.
    """
    columns = corrections.c
    keys = select(columns.key).where(columns.key > key).distinct().order_by(columns.key)
    query = select(*(columns[each.name] for each in fields(Said)))
    rows = conn.execute(
        query.where(columns.key.in_(list(conn.scalars(keys.limit(limit)))), columns.question != "")
        .order_by(columns.key, columns.at, columns.number)
    )  # fmt: skip
    return [
        Said(**{**row._mapping, "evidence": tuple(row.evidence), "access": tuple(row.access)})
        for row in rows
    ]


def interactions_of(conn: Connection, acts: Sequence[str]) -> dict[str, str]:
    """The interactions that these acts are about, by the acts' ids."""
    found: dict[str, str] = {}
    for group in in_groups(acts):
        about = feedback.c.id.in_(group), feedback.c.interaction != ""
        found.update(
            iter(conn.execute(select(feedback.c.id, feedback.c.interaction).where(*about)))
        )
    return found


def judgements(conn: Connection) -> list[Judgement]:
    """What curators and owners said of answers by rating them, the first act first."""
    columns = feedback.c
    query = select(columns.kind, columns.user, columns.question, columns.answer).where(
        columns.kind.in_(("up", "down", "bookmark", "delete")),
        columns.role != "asker",
        columns.content != "",
    )
    rows = conn.execute(query.order_by(columns.at, columns.id))
    return [Judgement(**row._mapping) for row in rows]
