"""When to answer: confidence fitted on questions of which is known what answers them, or that
nothing does.

Never on exam questions: on those made from the documents, and on feedback's, as they would have
been ranked had they been new.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flywheel.answer.decide import (
    BUILT_IN,
    FEATURES,
    Calibration,
    Logistic,
    features,
    readings,
)
from flywheel.build.ranker import Rehearsed

if TYPE_CHECKING:
    from flywheel.search.frequencies import Frequencies

CODE_VERSION = 6
STRENGTH = 0.1
"""Inverse regularisation. Made questions are easier to tell apart than users' ones: with 1.0 the
Brier score on legal questions is 0.205, with 0.1 0.185, and no worse elsewhere."""
FEWEST = 40
"""Fewer observations than this say less than the built-in calibration."""
FEWEST_OF_A_KIND = 8
UNANSWERABLE_SHARE = 0.25
"""How much that has no answer is asked for: of the made questions, and of feedback's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One question: what the search told, and whether it was right."""

    features: tuple[float, ...]
    first: bool
    """The first citation hit the evidence."""
    any_reading: bool
    """One of the best readings held the evidence."""
    weight: float = 1.0
    """What it counts beside a question made from the documents."""


def rated(rehearsed: Sequence[Rehearsed], frequencies: Frequencies) -> list[Outcome]:
    """The outcomes of feedback's questions; none where users refused too few answers.

    Who only corrects, and cites, and likes, asks what has an answer: with that alone a version
    would learn to answer what nothing answers. Few say so of what has none, and what they refused
    counts as much as if it were UNANSWERABLE_SHARE of all.
    """
    found = [each for each in rehearsed if each.hits]
    refused = [each for each in found if not each.example.passages]
    if len(refused) < FEWEST_OF_A_KIND:
        return []
    answered = [each for each in found if each.example.passages]
    wanted = UNANSWERABLE_SHARE / (1 - UNANSWERABLE_SHARE) * _weight(answered)
    scale = wanted / _weight(refused)
    return [
        *(_rated(each, frequencies) for each in answered),
        *(_rated(each, frequencies, scale) for each in refused),
    ]


def _weight(rehearsed: Sequence[Rehearsed]) -> float:
    return sum(each.example.weight for each in rehearsed)


def _rated(each: Rehearsed, frequencies: Frequencies, scale: float = 1.0) -> Outcome:
    right = each.example.passages
    return Outcome(
        features=features(each.example.question, each.hits, frequencies),
        first=each.hits[0].passage.id in right,
        any_reading=any(hit.passage.id in right for hit in readings(each.hits)),
        weight=each.example.weight * scale,
    )


def fit(made: Sequence[Outcome], told: Sequence[Outcome] = ()) -> Calibration:
    """The calibration of a version; the built-in one where there is too little to learn from.

    Args:
        made: outcomes of questions made from the documents.
        told: of feedback's (`rated`). They tell how sure a first citation is, and not when to ask
            back: a version would do that to every second question (docs/log.md).
    """
    first = [outcome.first for outcome in made]
    any_reading = [outcome.any_reading for outcome in made]
    if len(made) < FEWEST or not (_is_mixed(first) and _is_mixed(any_reading)):
        return BUILT_IN
    every = [*made, *told]
    return Calibration(
        first=_logistic(every, [outcome.first for outcome in every]),
        any_reading=_logistic(made, any_reading),
        num_questions=len(every),
    )


def _is_mixed(labels: list[bool]) -> bool:
    return FEWEST_OF_A_KIND <= sum(labels) <= len(labels) - FEWEST_OF_A_KIND


def _logistic(outcomes: Sequence[Outcome], labels: list[bool]) -> Logistic:
    from sklearn.linear_model import LogisticRegression

    rows = np.array([outcome.features for outcome in outcomes])
    weights = np.array([outcome.weight for outcome in outcomes])
    assert rows.shape[1] == len(FEATURES)
    mean = rows.mean(axis=0)
    scale = rows.std(axis=0)
    scale[scale < 1e-9] = 1.0
    model = LogisticRegression(C=STRENGTH, max_iter=1000)
    model.fit((rows - mean) / scale, labels, sample_weight=weights)
    return Logistic(
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(model.coef_[0].tolist()),
        intercept=float(model.intercept_[0]),
    )
