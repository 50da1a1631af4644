"""Learns from edits which quotes make the answer: how many, how long, and how answers open.

What a draft is worth is told by the caller, who may compare it with what the user wrote. Drafts
are made of rehearsed rankings (build/ranker.py), and each question's own answer counts as unknown
while its draft is looked at, as for a new question.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flywheel.answer.choice import (
    Expectation,
    LearnedChoice,
    Told,
    composed,
    drafts,
    features,
)
from flywheel.answer.quote import Draft, Quoter, Quotes, QuoteSettings, num_words
from flywheel.build.boosting import values
from flywheel.build.ranker import NUM_PARTS, Rehearsed, part_of
from flywheel.records import Example
from flywheel.search.terms import has_han, term_ids

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.frequencies import Frequencies
    from flywheel.search.trees import Trees

    Floats = npt.NDArray[np.float64]

CODE_VERSION = 1
FEWEST = 100
"""Fewer answers than this say less than the defaults know."""
FEWEST_OPENINGS = 20
OPENING_SHARE = 0.5
"""Of the answers in a language: what most users begin with is the house's manner."""
SEED = 1

_OPENING = re.compile(r"[^\W\d_]{1,12}[,，:：!！。.]\s?")

Worth = Callable[[Example, str], float]
"""What a draft is worth, beside the answer that the user wrote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A choice, and what it would have quoted for the questions it learned from."""

    choice: LearnedChoice
    rehearsed: dict[str, Draft]
    """By the example's id: chosen by trees that were fitted without its part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lesson:
    example: Example
    of: list[tuple[Quotes, ...]]
    rows: Floats
    worth: Floats
    """Of each draft, less the mean of all for this question."""


def fit(
    rehearsed: Sequence[Rehearsed],
    ids: Sequence[str],
    frequencies: Frequencies,
    settings: QuoteSettings,
    worth: Worth,
) -> Fitted | None:
    """The choice learned from these examples' answers; None where they are too few.

    Args:
        ids: the examples' ids in the order that `Neighbours.places` counts.
    """
    answered = [each for each in rehearsed if each.example.answer and each.hits]
    if len(answered) < FEWEST:
        return None
    told = tell([each.example for each in answered])
    expectation = Expectation(told, frequencies)
    lessons: list[_Lesson] = []
    for each in answered:
        quoter = Quoter(each.example.question, frequencies, settings)
        of = drafts(each.hits, quoter)
        expected = expectation.of(each.near, [ids[place] for place in each.near.places.tolist()])
        rows = features(of, each.hits, quoter, expected)
        opening = told.opening(each.example.question)
        gained = np.array([worth(each.example, composed(one, opening).text) for one in of])
        lessons.append(
            _Lesson(example=each.example, of=of, rows=rows, worth=gained - gained.mean())
        )
    lessons = [each for each in lessons if each.of]
    chosen: dict[str, Draft] = {}
    for part in range(NUM_PARTS):
        others = [each for each in lessons if part_of(each.example, NUM_PARTS) != part]
        trees = _boost(others)
        for lesson in lessons:
            if part_of(lesson.example, NUM_PARTS) == part:
                best = int(np.argmax(trees.score(lesson.rows)))
                opening = told.opening(lesson.example.question)
                chosen[lesson.example.id] = composed(lesson.of[best], opening)
    choice = LearnedChoice(told, _boost(lessons), frequencies, settings)
    return Fitted(choice=choice, rehearsed=chosen)


def tell(examples: Sequence[Example]) -> Told:
    """What the examples' answers hold, without their words."""
    return Told(
        ids=tuple(each.id for each in examples),
        terms=tuple(term_ids(each.answer) for each in examples),
        lengths=tuple(num_words(each.answer) for each in examples),
        openings=tuple(
            (language, opening)
            for language, chinese in (("zh", True), ("en", False))
            if (opening := opening_of([e for e in examples if has_han(e.question) is chinese]))
        ),
    )


def opening_of(examples: Sequence[Example]) -> str:
    """The words up to the first mark with which most of the answers begin; empty for none.

    A word or two, such as a greeting, and never a number: it tells nothing of the answer itself.
    """
    begun = [(_OPENING.match(each.answer), each) for each in examples]
    counts = Counter(match.group() for match, _ in begun if match)
    if not counts or len(examples) < FEWEST_OPENINGS:
        return ""
    opening, number = counts.most_common(1)[0]
    return opening if number >= OPENING_SHARE * len(examples) else ""


def _boost(lessons: Sequence[_Lesson]) -> Trees:
    return values(
        np.concatenate([each.rows for each in lessons]),
        np.concatenate([each.worth for each in lessons]),
        # A question counts once, however many drafts it has.
        np.concatenate([np.full(len(e.of), e.example.weight / len(e.of)) for e in lessons]),
        SEED,
    )
