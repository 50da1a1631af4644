"""Whether curators agree with each other: what several of them have said of one answer.

An answer to a question is called right by who gives or confirms it, likes or keeps it, and wrong by
who gives another one, withdraws it, dislikes or hides it; the latest word of each counts. Measured
as learn/agreement.py measures users'. Remembered until a correction is decided on or anything is
erased; beside thousands of acts, what is rated may be counted a minute later.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from flywheel.learn.agreement import Interval, alpha, share
from flywheel.learn.feedback import normal_form
from flywheel.learn.health import AGREED, FEWEST, Verdict
from flywheel.store import corrections, erasures, review_lists
from flywheel.store.review_lists import JudgedCorrection, Judgement
from flywheel.wheel.feedback import DECIDED, WITHDRAWN, key_of
from flywheel.wheel.review.bursts import FEW

if TYPE_CHECKING:
    from flywheel.wheel.workspace import Workspace

_JUDGED_RIGHT = {"up": True, "bookmark": True, "down": False, "delete": False}
MOST_PAIRS = 20
"""Pairs of curators that are listed: those who have judged most together."""

STANDS_SECONDS = 60.0
"""How long it stands although somebody rated something, where measuring it takes a while: most
who rate are no curators."""

_clock = time.monotonic

Units = Mapping[tuple[str, str], Mapping[str, bool]]
"""By a question and an answer to it, in their normal forms: who calls it right or wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two curators, and how often they say the same of one answer."""

    one: str
    other: str
    num: int
    """Answers that both have judged."""
    agreed: Interval


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """How far curators agree."""

    alpha: Interval | None
    """Krippendorff's; None where there is nothing to tell it from."""
    num: int
    """Answers that several curators have judged."""
    verdict: Verdict
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    stamp: tuple[int, int]
    num_acts: int
    at: float
    agreement: Agreement


_memory: WeakKeyDictionary[Workspace, _Known] = WeakKeyDictionary()


def agreement(workspace: Workspace) -> Agreement:
    """How far curators agree, by all that they have said so far."""
    with workspace.database.read() as conn:
        stamp = corrections.latest_change(conn), erasures.count(conn)
        num_acts, now = review_lists.num_acts(conn), _clock()
        known = _memory.get(workspace)
        if known and known.stamp == stamp and _stands(known, num_acts, now):
            return known.agreement
        units = _units(review_lists.judged_corrections(conn), review_lists.judgements(conn))
    found = measure(units)
    _memory[workspace] = _Known(stamp=stamp, num_acts=num_acts, at=now, agreement=found)
    return found


def _stands(known: _Known, num_acts: int, now: float) -> bool:
    """Whether it is still good, although somebody may have rated something."""
    if known.num_acts == num_acts:
        return True
    return num_acts > FEW and now - known.at <= STANDS_SECONDS


def measure(units: Units) -> Agreement:
    """How far those who judged agree."""
    several = [each for each in units.values() if len(each) > 1]
    found = alpha(several)
    verdict: Verdict = "good"
    if found is None or len(several) < FEWEST:
        verdict = "too few"
    elif found.low < AGREED:
        verdict = "look"
    return Agreement(alpha=found, num=len(several), verdict=verdict, pairs=tuple(_pairs(several)))


def _pairs(units: Iterable[Mapping[str, bool]]) -> list[Pair]:
    same: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for each in units:
        for one, other in combinations(sorted(each), 2):
            same[one, other].append(each[one] == each[other])
    most = sorted(same.items(), key=lambda each: (-len(each[1]), each[0]))[:MOST_PAIRS]
    return [
        Pair(one=one, other=other, num=len(each), agreed=share(sum(each), len(each)))
        for (one, other), each in most
    ]


def _units(
    corrected: Sequence[JudgedCorrection], judged: Sequence[Judgement]
) -> dict[tuple[str, str], dict[str, bool]]:
    units: dict[tuple[str, str], dict[str, bool]] = defaultdict(dict)
    for user, key, answer, is_right in (*_corrected(corrected), *_judged(judged)):
        units[key, answer][user] = is_right
    return units


def _corrected(corrected: Sequence[JudgedCorrection]) -> Iterator[tuple[str, str, str, bool]]:
    """What corrections say: each curator's own answer is right to him, and others' are wrong."""
    of_question: dict[str, list[JudgedCorrection]] = defaultdict(list)
    for each in corrected:
        of_question[each.key].append(each)
    for key, of_one in of_question.items():
        answers = {normal_form(each.answer) for each in of_one}
        for each in of_one:
            answer = normal_form(each.answer)
            if each.user:
                yield from ((each.user, key, other, other == answer) for other in answers)
        for each in of_one:
            if each.decided_by and each.withdrawn in ("", DECIDED, WITHDRAWN):
                yield each.decided_by, key, normal_form(each.answer), not each.withdrawn


def _judged(judged: Sequence[Judgement]) -> Iterator[tuple[str, str, str, bool]]:
    for each in judged:
        if each.kind in _JUDGED_RIGHT:
            right = _JUDGED_RIGHT[each.kind]
            yield each.user, key_of(each.question), normal_form(each.answer), right
