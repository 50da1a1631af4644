"""Near-duplicate questions: what is a copy of an exam question must not be learned from.

Questions that share most of their terms form a group. `group` joins what is there, whatever its
order. `divide` goes through questions as they came: the first of a group decides by a hash
whether the group is exam or training, and whoever comes later inherits.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from flywheel.learn.feedback import normal_form
from flywheel.search.terms import term_ids

NEAR_DUPLICATE = (4, 5)
"""Share of terms that two questions of one group have in common (Jaccard): four of five."""

EXAM_SHARE = 0.1
"""Of the groups that users' questions begin."""

Part: TypeAlias = Literal["exam", "training", "neither"]
Origin: TypeAlias = Literal["exam", "training", "open"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """The group of each question, in the order given."""

    training: tuple[int, ...]
    exam: tuple[int, ...]

    @property
    def overlapping(self) -> frozenset[int]:
        """Groups that hold questions of both kinds."""
        return frozenset(self.training) & frozenset(self.exam)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question as it came."""

    question: str
    origin: Origin
    """What the group becomes that it begins: `exam` for what stands in the exam, whatever else is
    like it; `training` for what was sent in unasked, or decided on before; `open` for what the
    hash decides on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a question ended."""

    part: Part
    """`neither` where it would join an exam group to a training group."""
    group: int
    """Its group; of `neither` one of its own."""
    drawn: bool = False
    """Whether it began a group that the hash drew for the exam."""


def group(training: Sequence[str], exam: Sequence[str]) -> Groups:
    """Joins questions that share most of their terms, directly or through others."""
    everyone = [*training, *exam]
    groups = _Joined()
    near = _Near(everyone)
    for number in range(len(everyone)):
        groups.add()
        for other in near.find_and_add(number):
            groups.join(number, other)
    numbers = tuple(groups.of(number) for number in range(len(everyone)))
    return Groups(training=numbers[: len(training)], exam=numbers[len(training) :])


def near(question: str, others: Sequence[str]) -> list[int]:
    """The places of those others that share most of their terms with a question."""
    if not term_ids(question).size:
        return []
    everyone = _Near([question, *others])
    return [place for place in range(len(others)) if everyone.is_near(0, place + 1)]


def divide(asked: Sequence[Asked], room: int = 0) -> list[Place]:
    """Exam or training for each question, in the order in which they came.

    What comes later changes nothing of what was decided before.

    Args:
        room: how many questions may still be drawn for the exam.
    """
    groups = _Joined()
    near = _Near([each.question for each in asked])
    parts: list[Part] = []
    draws: list[bool] = []
    for number, each in enumerate(asked):
        others = near.find(number)
        is_new = not others and each.origin == "open"
        drawn = is_new and room > 0 and is_drawn(each.question)
        room -= drawn
        part = _part(each.origin, {parts[other] for other in others}, drawn)
        groups.add()
        if part != "neither":
            near.add(number)
            for other in others:
                if parts[other] == part:
                    groups.join(number, other)
        parts.append(part)
        draws.append(drawn)
    return [
        Place(part=part, group=groups.of(number), drawn=drawn)
        for number, (part, drawn) in enumerate(zip(parts, draws, strict=True))
    ]


def _part(origin: Origin, others: set[Part], drawn: bool) -> Part:
    """What a question is, beside near-duplicates that are these."""
    if origin == "exam" or drawn:
        return "exam"
    if len(others) > 1:
        return "neither"
    return next(iter(others), "training")


def is_drawn(question: str) -> bool:
    """Whether the hash draws a group that this question begins; nothing else has a say in it."""
    digest = hashlib.blake2b(normal_form(question).encode(), digest_size=8).digest()
    return int.from_bytes(digest) < EXAM_SHARE * 2**64


class _Near:
    """Finds near-duplicates among the questions that were added.

    Two sets that share four fifths of their terms share one of the rarest few of each (prefix
    filtering, Bayardo et al. 2007): 10,000 questions take four seconds.
    """

    def __init__(self, questions: Sequence[str]) -> None:
        terms = [term_ids(each).tolist() for each in questions]
        counts = Counter(term for each in terms for term in each)
        self._terms = [sorted(each, key=lambda term: (counts[term], term)) for each in terms]
        self._sets = [frozenset(each) for each in terms]
        self._postings: dict[int, list[int]] = {}

    def find(self, number: int) -> list[int]:
        """Those added before that are near-duplicates of this one; none of what has no terms."""
        candidates = {
            other for term in self._rarest(number) for other in self._postings.get(term, ())
        }
        return sorted(other for other in candidates if self.is_near(number, other))

    def add(self, number: int) -> None:
        for term in self._rarest(number):
            self._postings.setdefault(term, []).append(number)

    def find_and_add(self, number: int) -> list[int]:
        found = self.find(number)
        self.add(number)
        return found

    def _rarest(self, number: int) -> Iterator[int]:
        terms = self._terms[number]
        above, below = NEAR_DUPLICATE
        num_shared = -(-above * len(terms) // below)  # rounded up
        yield from terms[: len(terms) - num_shared + 1]

    def is_near(self, one: int, other: int) -> bool:
        first, second = self._sets[one], self._sets[other]
        above, below = NEAR_DUPLICATE
        if below * min(len(first), len(second)) < above * max(len(first), len(second)):
            return False
        shared = len(first & second)
        return below * shared >= above * (len(first) + len(second) - shared)


class _Joined:
    """Numbers joined into groups; a group is named by its least member."""

    def __init__(self) -> None:
        self._parents: list[int] = []

    def add(self) -> None:
        self._parents.append(len(self._parents))

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.of(one), self.of(other)))
        self._parents[second] = first

    def of(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number
