"""What curators decided on what waited for them: values ↔ rows, on the caller's connection.

And what waits, as lean rows: what a list shows and is ordered by, without what was answered. Who
may read it, and what is waiting at all, is for wheel/review_queue.py to say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, get_args

from sqlalchemy import (
    Connection,
    Row,
    Text,
    cast,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    union_all,
    update,
)

from flywheel.records import Kind
from flywheel.store.groups import in_groups
from flywheel.store.tables import corrections, feedback, interactions, quarantine, reviews

_KINDS = ("", *get_args(Kind))
_REPEATED = 5
"""So many unsure answers are read for each question that is listed: one may be asked often."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """A decision. One on the same item takes the place of the one before."""

    item: str
    """What was decided on: its kind and its name, such as `abstained:` and a normal form."""
    decision: str
    user: str
    at: str
    """UTC, ISO 8601."""
    change: int = 1
    """Grows with every decision on the item."""


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


def get(conn: Connection, item: str) -> Review | None:
    """The decision on an item, if there is one."""
    row = conn.execute(select(reviews).where(reviews.c.item == item)).one_or_none()
    return None if row is None else _review(row)


def of_kinds(conn: Connection, kinds: Sequence[str]) -> Iterator[Review]:
    """Every decision on items of these kinds."""
    begin = or_(*(reviews.c.item.startswith(f"{kind}:", autoescape=True) for kind in kinds))
    return map(_review, conn.execute(select(reviews).where(begin)))


def put(conn: Connection, review: Review) -> Review:
    """Keeps a decision, in the place of an earlier one. The caller holds the corrections' lock.

    Returns:
        It, with the change that it was given.
    """
    last = conn.scalar(select(reviews.c.change).where(reviews.c.item == review.item))
    kept = replace(review, change=(last or 0) + 1)
    values = {each.name: getattr(kept, each.name) for each in fields(kept)}
    if last is None:
        conn.execute(insert(reviews), values)
    else:
        conn.execute(update(reviews).where(reviews.c.item == review.item).values(values))
    return kept


def remove(conn: Connection, item: str) -> None:
    """Takes a decision back."""
    conn.execute(delete(reviews).where(reviews.c.item == item))


def count_since(conn: Connection, user: str, at: str) -> int:
    """How many items a user has decided on since then."""
    own = select(func.count()).select_from(reviews).where(reviews.c.user == user)
    return conn.scalar(own.where(reviews.c.at >= at)) or 0


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
        columns.access,
    ).where(columns.withdrawn == "", waits)
    return [
        WaitingCorrection(**{**row._mapping, "access": tuple(row.access)})
        for row in conn.execute(query.order_by(columns.at, columns.number))
    ]


def abstained(conn: Connection, limit: int) -> list[Asked]:
    """The questions that were left unanswered, those asked most first."""
    columns = interactions.c
    count = func.count().label("num")
    counted = (
        select(columns.key, count)
        .where(columns.kind == "abstain", columns.key != "")
        .group_by(columns.key)
        .order_by(count.desc(), columns.key)
        .limit(limit)
    )
    counts = {row.key: row.num for row in conn.execute(counted)}
    latest = _latest(conn, "abstain", list(counts))
    return [replace(latest[key], num=num) for key, num in counts.items() if key in latest]


def unsure(conn: Connection, below: float, limit: int) -> list[Asked]:
    """The questions that were answered with little confidence, the least first."""
    columns = interactions.c
    scanned = (
        select(columns.key, columns.confidence)
        .where(columns.kind == "answer", columns.confidence < below)
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


def corrected_keys(conn: Connection, keys: Sequence[str]) -> set[str]:
    """Those of the questions that any correction in force is about, by their normal forms."""
    found: set[str] = set()
    for group in in_groups(keys):
        about = corrections.c.key.in_(group), corrections.c.withdrawn == ""
        found.update(conn.scalars(select(corrections.c.key).where(*about).distinct()))
    return found


def flags(conn: Connection, limit: int) -> list[Flag]:
    """What was flagged and not taken back by who flagged it, the latest first."""
    columns, later = feedback.c, feedback.alias()
    taken_back = exists().where(
        later.c.interaction == columns.interaction,
        later.c.kind == "retract",
        later.c.user == columns.user,
        func.coalesce(later.c.candidate, 0) == func.coalesce(columns.candidate, 0),
        later.c.at >= columns.at,
        columns.interaction != "",
    )
    query = (
        select(columns.id, columns.interaction, columns.question, columns.at)
        .where(columns.kind == "flag", columns.content != "", ~taken_back)
        .order_by(columns.at.desc(), columns.id.desc())
        .limit(limit)
    )
    return [Flag(**row._mapping) for row in conn.execute(query)]


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
    """The id, user and time of every asker's act that was not erased."""
    columns = feedback.c
    query = select(columns.id, columns.user, columns.at)
    rows = conn.execute(query.where(columns.role == "asker", columns.content != ""))
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


def decided_acts(conn: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Who decided on those of these acts in quarantine that were decided on; by the act's id.

    A curator who confirmed an edit has decided on it, too.
    """
    found: dict[str, str] = {}
    for group in in_groups(ids):
        judged = select(quarantine.c.id, quarantine.c.decided_by).where(quarantine.c.id.in_(group))
        confirmed = select(corrections.c.id, corrections.c.decided_by).where(
            corrections.c.id.in_(group), corrections.c.verified, corrections.c.withdrawn == ""
        )
        found.update(iter(conn.execute(union_all(judged, confirmed))))
    return found


def undecide_acts(conn: Connection, ids: Sequence[str]) -> None:
    """Takes back what was decided on these acts in quarantine."""
    for group in in_groups(ids):
        conn.execute(delete(quarantine).where(quarantine.c.id.in_(group)))


def _review(row: Row[*tuple[Any, ...]]) -> Review:
    return Review(**row._mapping)
