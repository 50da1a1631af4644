"""How the versions' scores went as there was more feedback to learn from: a series to look at.

Exams change as they grow, so that each point tells how many questions it is from. Not here: what
one version gains over another on the same questions (comparison.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.records import Score
from flywheel.store import erasures
from flywheel.store import versions as version_store
from flywheel.store.versions import Decision

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.workspace import Workspace

_learned: WeakKeyDictionary[Workspace, dict[int, tuple[int, int]]] = WeakKeyDictionary()
"""By version: how many erasures there were, and how many acts it learned from as of then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One version that was examined."""

    number: int
    at: str
    """UTC, ISO 8601."""
    decision: Decision
    has_served: bool
    num_acts: int
    """Of feedback, that its order of passages learned from."""
    scores: Mapping[str, Score]


def learning_curve(workspace: Workspace) -> list[Point]:
    """The versions that were examined and not erased, the first one first."""
    with workspace.database.read() as conn:
        every = [each for each in version_store.list_versions(conn) if not each.erased]
        served = {each.version for each in version_store.history(conn)}
        learned = num_learned(workspace, conn, (each.number for each in every))
    return [
        Point(
            number=each.number,
            at=each.created_at,
            decision=each.decision,
            has_served=each.number in served,
            num_acts=learned[each.number],
            scores=each.metrics,
        )
        for each in every
        if each.metrics
    ]


def num_learned(workspace: Workspace, conn: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """How many acts of feedback each of these versions learned from.

    Counted once: what a version learned from only changes by an erasure.
    """
    known = _learned.setdefault(workspace, {})
    num_erasures = erasures.count(conn)
    wanted = list(numbers)
    unknown = [each for each in wanted if known.get(each, (-1, 0))[0] != num_erasures]
    counted = version_store.count_learned(conn, unknown)
    known.update({each: (num_erasures, counted.get(each, 0)) for each in unknown})
    return {each: known[each][1] for each in wanted}
