"""How far an asker is trusted: what one act counts, what all of one asker's may, and bursts.

Curators and owners answer for what they say. An asker may be mistaken, or mean harm, so that his
acts count less, count together only up to a cap, and wait for a curator where they come faster
than anybody reads answers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from statistics import median

from pydantic import Field

from flywheel.learn.feedback import is_verified
from flywheel.records import Feedback, StageSettings

BURST = timedelta(minutes=10)
"""Time in which nobody reads and judges `burst_acts` answers."""

DAY = timedelta(hours=24)
USUAL_FACTOR = 10
"""A day with so many times the acts of an asker's usual day is a burst, however they spread."""

LEAST_CAP = 3.0
"""Weight that every asker may reach where curators have taught little: ten acts, by default."""

PASSAGE_CAP = 1.0
"""What an asker's acts for or against one passage may weigh together: as one edit of a curator. To
push one passage for whatever is asked harms most, since it looks right to the order that learns:
52 such acts cost 0.024 MRR on legal questions, the 17 of them that keep to this at most 0.001."""


class LearnSettings(StageSettings):
    """How much users' feedback teaches."""

    asker_weight: float = Field(default=0.3, ge=0, le=1)
    """What an asker's act counts beside a curator's. 0 learns from curators and owners alone."""
    asker_share: float = Field(default=0.005, gt=0, le=1)
    """The most that one asker's acts count together, as a share of what curators and owners
    taught. His latest acts count, the earlier ones are left out."""
    burst_acts: int = Field(default=20, ge=2)
    """More acts than this by one asker within ten minutes wait for a curator, as do more within a
    day if that is ten times what askers do on a usual day."""


def cap(trusted_weight: float, settings: LearnSettings) -> float:
    """What one asker's acts may weigh together, beside so much from curators and owners."""
    return max(LEAST_CAP, settings.asker_share * trusted_weight)


def bursts(acts: Iterable[Feedback], settings: LearnSettings) -> frozenset[str]:
    """The ids of askers' acts that came in a burst. Follows from their times alone."""
    times = _times(acts)
    in_a_day = max(settings.burst_acts, USUAL_FACTOR * _usual_day(times.values()))
    found: set[str] = set()
    for of_user in times.values():
        found.update(_crowded(of_user, BURST, settings.burst_acts))
        found.update(_crowded(of_user, DAY, in_a_day))
    return frozenset(found)


def _times(acts: Iterable[Feedback]) -> dict[str, list[tuple[datetime, str]]]:
    """When each asker acted, in order, with the acts' ids."""
    times: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for act in acts:
        # To take back what was said a moment ago is no haste, and teaches nothing.
        if not is_verified(act.role) and act.kind != "retract":
            times[act.user].append((datetime.fromisoformat(act.at), act.id))
    return {user: sorted(of_user) for user, of_user in times.items()}


def _usual_day(times: Iterable[Sequence[tuple[datetime, str]]]) -> float:
    """The acts of an asker on a day on which he acts: the median of all askers' medians."""
    medians = []
    for of_user in times:
        per_day: dict[int, int] = defaultdict(int)
        for at, _ in of_user:
            per_day[at.toordinal()] += 1
        medians.append(median(per_day.values()))
    return median(medians) if medians else 0.0


def _crowded(
    times: Sequence[tuple[datetime, str]], window: timedelta, most: float
) -> Iterator[str]:
    """The ids in any window that holds more than so many."""
    start = marked = 0
    for end, (at, _) in enumerate(times, start=1):
        while at - times[start][0] > window:
            start += 1
        if end - start > most:
            yield from (id for _, id in times[max(start, marked) : end])
            marked = end
