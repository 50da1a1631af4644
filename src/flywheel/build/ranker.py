"""Learns the order of passages from questions whose evidence is known.

Boosted trees over search features (search/learned.py). Cross-fitted: while they are fitted, a
question sees neither its own feedback nor that of its near-duplicates, as a new question would.
What is learned after this, from how a question was ranked, must not see it either: so each
question is also ranked by trees that were fitted without it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flywheel.build.boosting import chances
from flywheel.records import Example, Hit
from flywheel.search.index import PassageIndex
from flywheel.search.learned import Candidate, LearnedRanker, candidates, features, ordered
from flywheel.search.question_field import Neighbours, QuestionField

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.trees import Trees

    Floats = npt.NDArray[np.float64]

CODE_VERSION = 7
FEWEST = 50
"""Fewer questions than this teach less than the search's own order knows."""
NUM_PARTS = 2
"""Of the cross-fitting: each part is ranked by what the others taught."""
NUM_SEARCHING = 2
"""Questions that are searched at once: the index works in threads of its own."""
NUM_REHEARSED = 20
"""Passages of each rehearsed ranking that are kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """A learned question as a new one would have been ranked."""

    example: Example
    """One without passages was refused: what it got was wrong, and nobody said what is right."""
    near: Neighbours
    hits: tuple[Hit, ...]
    """The best, by trees that were fitted without its part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A ranker, and the questions it learned from, rehearsed."""

    ranker: LearnedRanker
    rehearsed: tuple[Rehearsed, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lesson:
    """A learned question with its candidates, which of them are right, and what is known."""

    example: Example
    near: Neighbours
    of: list[Candidate]
    rows: Floats
    right: npt.NDArray[np.bool_]


def fit(
    examples: Sequence[Example],
    index: PassageIndex,
    search: Callable[[str], list[Hit]],
    seed: int = 1,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Fitted | None:
    """The order learned from these questions; None where they are too few.

    Args:
        examples: one without passages only tells what was found wrong.
        search: what an unlearned version finds, best first.
    """
    taught = [each for each in examples if each.passages]
    if len(taught) < FEWEST:
        return None
    answered = {each.group for each in taught}
    refused = [each for each in examples if not each.passages and each.group not in answered]
    field = QuestionField(examples, index)
    lessons: list[_Lesson] = []
    asked = [*taught, *refused]
    with ThreadPoolExecutor(NUM_SEARCHING) as searching:
        found = searching.map(search, [each.question for each in asked])
        for done, (each, hits) in enumerate(zip(asked, found, strict=True), start=1):
            lessons.append(_lesson(field, each, hits))
            progress(done, len(asked))
    lessons = [each for each in lessons if each.of]
    leading = [each for each in lessons if each.example.passages]
    others = [
        [each for each in leading if part_of(each.example, NUM_PARTS) != part]
        for part in range(NUM_PARTS)
    ]
    if not all(map(_is_mixed, others)):
        return None
    blind = [_boost(each, seed) for each in others]
    return Fitted(
        ranker=LearnedRanker(field, _boost(leading, seed)),
        rehearsed=tuple(
            _rehearsed(each, blind[part_of(each.example, NUM_PARTS)]) for each in lessons
        ),
    )


def part_of(example: Example, num_parts: int) -> int:
    """The part of a cross-fitting that a question's whole group is in, by its hash."""
    return zlib.crc32(f"part {example.group or example.id}".encode()) % num_parts


def _lesson(field: QuestionField, example: Example, hits: list[Hit]) -> _Lesson:
    near = field.around(example.question, without_group=example.group)
    of = candidates(field, near, hits)
    right = np.array([each.passage.id in example.passages for each in of], dtype=bool)
    rows = features(field, near, of)
    return _Lesson(example=example, near=near, of=of, rows=rows, right=right)


def _rehearsed(lesson: _Lesson, trees: Trees) -> Rehearsed:
    hits = ordered(lesson.of, trees.score(lesson.rows))[:NUM_REHEARSED]
    return Rehearsed(example=lesson.example, near=lesson.near, hits=tuple(hits))


def _is_mixed(lessons: Sequence[_Lesson]) -> bool:
    """Whether there is something right and something wrong to learn from."""
    num_right = sum(int(each.right.sum()) for each in lessons)
    return 0 < num_right < sum(len(each.of) for each in lessons)


def _boost(lessons: Sequence[_Lesson], seed: int) -> Trees:
    return chances(
        np.concatenate([each.rows for each in lessons]),
        np.concatenate([each.right for each in lessons]),
        np.repeat([each.example.weight for each in lessons], [len(each.of) for each in lessons]),
        seed,
    )
