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
from flywheel.answer.quote import Quoter, Quotes, num_words
from flywheel.answer.settings import QuoteSettings
from flywheel.build.boosting import values
from flywheel.build.ranker import NUM_PARTS, Rehearsed, part_of
from flywheel.records import Example
from flywheel.search.terms import has_han, term_ids
from flywheel.search.vocabulary import is_courtesy

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.frequencies import Frequencies
    from flywheel.search.trees import Trees

    Floats = npt.NDArray[np.float64]

CODE_VERSION = 3
FEWEST = 100
"""Fewer answers than this say less than the defaults know."""
FEWEST_OPENINGS = 20
OPENING_SHARE = 0.5
"""Of the answers in a language: what most users begin with is the house's manner."""
SEED = 1

_OPENING = re.compile(r"[^\W\d_]{1,12}[,，:：!！。.]\s?")

QUOTED_WORTHS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""What evidence that is quoted whole may be worth, beside the likeness to what the user wrote: the
least of these with which no less of it is quoted than without learning."""

Worth = Callable[[Example, str], tuple[float, float]]
"""How like a draft is to the answer that the user wrote, and how much of the evidence it quotes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lesson:
    example: Example
    of: list[tuple[Quotes, ...]]
    rows: Floats
    likeness: Floats
    """Of each draft to the user's answer."""
    quoted: Floats
    """Of each draft, the share of the evidence in it."""
    quoted_unlearned: float
    """The same of the draft that would be given without learning."""


def fit(
    rehearsed: Sequence[Rehearsed],
    frequencies: Frequencies,
    settings: QuoteSettings,
    worth: Worth,
) -> LearnedChoice | None:
    """The choice learned from these examples' answers; None where they are too few."""
    answered = [each for each in rehearsed if each.example.answer and each.hits]
    if len(answered) < FEWEST:
        return None
    told = tell([each.example for each in answered])
    expectation = Expectation(told, frequencies)
    lessons = [
        lesson
        for each in answered
        if (
            lesson := _lesson(
                each,
                Quoter(each.example.question, frequencies, settings),
                expectation,
                told,
                worth,
            )
        )
    ]
    if len({part_of(each.example, NUM_PARTS) for each in lessons}) < NUM_PARTS:
        return None  # nothing to choose by for those of the only part
    enough = sum(each.quoted_unlearned for each in lessons)
    for quoted_worth in QUOTED_WORTHS:
        chosen = _rehearse(lessons, quoted_worth)
        if sum(each.quoted[at] for each, at in zip(lessons, chosen, strict=True)) >= enough:
            break
    return LearnedChoice(told, _boost(lessons, quoted_worth), frequencies, settings)


def _lesson(
    each: Rehearsed,
    quoter: Quoter,
    expectation: Expectation,
    told: Told,
    worth: Worth,
) -> _Lesson | None:
    of = drafts(each.hits, quoter)
    if not of:
        return None
    expected = expectation.of(each.near)
    opening = told.opening(each.example.question)
    marks = np.array([worth(each.example, composed(one, opening).text) for one in of])
    unlearned = quoter.draft(each.hits)
    return _Lesson(
        example=each.example,
        of=of,
        rows=features(of, each.hits, quoter, expected),
        likeness=marks[:, 0],
        quoted=marks[:, 1],
        quoted_unlearned=worth(each.example, unlearned.text)[1],
    )


def _rehearse(lessons: Sequence[_Lesson], quoted_worth: float) -> list[int]:
    """The draft of each lesson that is chosen by what the other parts' lessons taught."""
    parts = [part_of(each.example, NUM_PARTS) for each in lessons]
    blind = [
        _boost([each for each, at in zip(lessons, parts, strict=True) if at != part], quoted_worth)
        for part in range(NUM_PARTS)
    ]
    return [
        int(np.argmax(blind[at].score(each.rows))) for each, at in zip(lessons, parts, strict=True)
    ]


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

    A greeting or the like: it tells nothing of the answer itself, as "Yes," would.
    """
    begun = (_OPENING.match(each.answer) for each in examples)
    counts = Counter(match.group() for match in begun if match and is_courtesy(match.group()))
    if not counts or len(examples) < FEWEST_OPENINGS:
        return ""
    opening, number = counts.most_common(1)[0]
    return opening if number >= OPENING_SHARE * len(examples) else ""


def _boost(lessons: Sequence[_Lesson], quoted_worth: float) -> Trees:
    worths = [each.likeness + quoted_worth * each.quoted for each in lessons]
    return values(
        np.concatenate([each.rows for each in lessons]),
        # Less the mean of its question: drafts compete with each other alone.
        np.concatenate([each - each.mean() for each in worths]),
        # A question counts once, however many drafts it has.
        np.concatenate([np.full(len(e.of), e.example.weight / len(e.of)) for e in lessons]),
        SEED,
    )
