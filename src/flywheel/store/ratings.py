"""What users said of answers, counted by day and version, on the connection that the caller holds.

Of the first candidate alone, since a later one may be another version's. A list of tens of
thousands is read through indexes, but it is read: ask once a minute, not with every page.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Subquery,
    and_,
    case,
    cast,
    exists,
    func,
    not_,
    or_,
    select,
)

from flywheel.store.tables import feedback, interactions

CRITICAL = ("down", "edit", "flag", "delete")
"""Feedback that says that an answer was not good; `up` alone says that it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rated:
    """What one version was asked on one day, and what was said to its answers since."""

    day: str
    """UTC, ISO 8601."""
    version: int
    asked: int
    answered: int
    """Neither asked back nor abstained, as far as it is known."""
    liked: int = 0
    """Answers with an `up` and nothing against them."""
    criticised: int = 0
    """Answers with anything of `CRITICAL`."""
    downs: int = 0
    edits: int = 0
    flags: int = 0
    """Answers with a `flag`, or a `delete`."""


_KINDS = {"up": ("up",), "downs": ("down",), "edits": ("edit",), "flags": ("flag", "delete")}
_JUDGED = ("up", *CRITICAL)
_COUNTED = ("liked", "criticised", "downs", "edits", "flags")


def count_days(conn: Connection, since: str) -> list[Rated]:
    """The days from this one on that anything was asked on, the first one first."""
    columns = interactions.c
    day = func.substr(columns.at, 1, 10)
    there = and_(columns.at >= since, columns.question != "")
    asked = (
        select(
            day.label("day"),
            columns.version,
            func.count().label("asked"),
            _num(columns.kind == "answer").label("answered"),
        )
        .where(there)
        .group_by("day", columns.version)
        .order_by("day", columns.version)
    )
    said = _said()
    against = said.c.downs + said.c.edits + said.c.flags > 0
    rated = (
        select(
            day.label("day"),
            columns.version,
            _num(and_(said.c.up > 0, not_(against))).label("liked"),
            _num(against).label("criticised"),
            *(_num(said.c[name] > 0).label(name) for name in ("downs", "edits", "flags")),
        )
        .join_from(said, interactions, said.c.interaction == columns.id)
        .where(there)
        .group_by("day", columns.version)
    )
    counts = {
        (row.day, row.version): {name: row._mapping[name] for name in _COUNTED}
        for row in conn.execute(rated)
    }
    return [
        Rated(**row._mapping, **counts.get((row.day, row.version), {}))
        for row in conn.execute(asked)
    ]


def _said() -> Subquery:
    """Of each interaction how often each kind of thing was said of its answer, and not taken
    back."""
    columns, later = feedback.c, feedback.alias()
    taken_back = exists().where(
        later.c.interaction == columns.interaction,
        later.c.kind == "retract",
        later.c.user == columns.user,
        func.coalesce(later.c.candidate, 0) == func.coalesce(columns.candidate, 0),
        later.c.at >= columns.at,
    )
    return (
        select(
            columns.interaction,
            *(_num(columns.kind.in_(kinds)).label(name) for name, kinds in _KINDS.items()),
        )
        .where(
            columns.interaction != "",
            columns.kind.in_(_JUDGED),
            func.coalesce(columns.candidate, 0) == 0,
            columns.content != "",
            or_(columns.kind == "edit", not_(taken_back)),
        )
        .group_by(columns.interaction)
        .subquery()
    )


def _num(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(case((condition, 1), else_=0)), 0), Integer)
