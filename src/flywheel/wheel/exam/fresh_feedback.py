"""The quality of answers as users rate them: a series by day, week and version, to look at.

The gate never sees it: users rate what they happen to ask, and who is asked to rate rates more.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.evaluate.calibration import Share, share
from flywheel.store import ratings
from flywheel.store.ratings import Rated

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

NUM_DAYS = 28
NUM_WEEKS = 26
KEPT_SECONDS = 60.0
"""Counting 50,000 interactions takes half a second; whoever looks again within a minute is shown
what was counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What was asked in some time, or of some version, and what was said to the answers."""

    name: str
    """The day, the week's first day, or the version's number."""
    asked: int
    answered: int
    liked: int
    criticised: int
    downs: int
    edits: int
    flags: int

    @property
    def rated(self) -> int:
        """Answers that anything was said to."""
        return self.liked + self.criticised

    @property
    def share_liked(self) -> Share | None:
        """Of those that were rated; None of none."""
        return share(self.liked, self.rated)


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """The quality on fresh feedback."""

    at: str
    """When it was counted. UTC, ISO 8601."""
    days: tuple[Point, ...]
    weeks: tuple[Point, ...]
    versions: tuple[Point, ...]
    """Of the same weeks, the newest version first."""


_kept: WeakKeyDictionary[Workspace, tuple[float, Series]] = WeakKeyDictionary()
_counting = threading.Lock()


def series(workspace: Workspace) -> Series:
    """The last four weeks by day, and the last half year by week and by version."""
    with _counting:
        kept = _kept.get(workspace)
        if kept and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        counted = _count(workspace, datetime.now(UTC))
        _kept[workspace] = time.monotonic(), counted
        return counted


def _count(workspace: Workspace, now: datetime) -> Series:
    monday = now.date() - timedelta(days=now.weekday())
    since = monday - timedelta(weeks=NUM_WEEKS - 1)
    with workspace.database.read() as conn:
        rated = ratings.count_days(conn, since.isoformat())
    first = (now.date() - timedelta(days=NUM_DAYS - 1)).isoformat()
    return Series(
        at=now.isoformat(timespec="seconds"),
        days=_points([each for each in rated if each.day >= first], lambda each: each.day),
        weeks=_points(rated, lambda each: _monday(each.day)),
        versions=_points(
            sorted(rated, key=lambda each: -each.version), lambda each: str(each.version)
        ),
    )


def _points(rated: Sequence[Rated], name_of: Callable[[Rated], str]) -> tuple[Point, ...]:
    named: dict[str, list[Rated]] = {}
    for each in rated:
        named.setdefault(name_of(each), []).append(each)
    return tuple(_point(name, held) for name, held in named.items())


def _point(name: str, rated: Iterable[Rated]) -> Point:
    held = list(rated)
    return Point(
        name=name,
        asked=sum(each.asked for each in held),
        answered=sum(each.answered for each in held),
        liked=sum(each.liked for each in held),
        criticised=sum(each.criticised for each in held),
        downs=sum(each.downs for each in held),
        edits=sum(each.edits for each in held),
        flags=sum(each.flags for each in held),
    )


def _monday(day: str) -> str:
    at = date.fromisoformat(day)
    return (at - timedelta(days=at.weekday())).isoformat()
