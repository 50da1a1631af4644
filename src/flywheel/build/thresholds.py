"""When to answer: confidence fitted on questions whose evidence is known.

Never on exam questions: on synthetic ones made from the documents, and later on training groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flywheel.answer.decide import BUILT_IN, FEATURES, Calibration, Logistic

CODE_VERSION = 5
STRENGTH = 0.1
"""Inverse regularisation. Made questions are easier to tell apart than users' ones: with 1.0 the
Brier score on legal questions is 0.205, with 0.1 0.185, and no worse elsewhere."""
FEWEST = 40
"""Fewer observations than this say less than the built-in calibration."""
FEWEST_OF_A_KIND = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """One question: what the search told, and whether it was right."""

    features: tuple[float, ...]
    first: bool
    """The first citation hit the evidence."""
    any_reading: bool
    """One of the best readings held the evidence."""


def fit(outcomes: Sequence[Outcome]) -> Calibration:
    """The calibration of a version; the built-in one where there is too little to learn from."""
    first = [outcome.first for outcome in outcomes]
    any_reading = [outcome.any_reading for outcome in outcomes]
    if len(outcomes) < FEWEST or not (_is_mixed(first) and _is_mixed(any_reading)):
        return BUILT_IN
    features = np.array([outcome.features for outcome in outcomes])
    return Calibration(
        first=_logistic(features, first),
        any_reading=_logistic(features, any_reading),
        num_questions=len(outcomes),
    )


def _is_mixed(labels: list[bool]) -> bool:
    return FEWEST_OF_A_KIND <= sum(labels) <= len(labels) - FEWEST_OF_A_KIND


def _logistic(
    features: np.ndarray[tuple[int, int], np.dtype[np.float64]], labels: list[bool]
) -> Logistic:
    from sklearn.linear_model import LogisticRegression

    assert features.shape[1] == len(FEATURES)
    mean = features.mean(axis=0)
    scale = features.std(axis=0)
    scale[scale < 1e-9] = 1.0
    model = LogisticRegression(C=STRENGTH, max_iter=1000).fit((features - mean) / scale, labels)
    return Logistic(
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(model.coef_[0].tolist()),
        intercept=float(model.intercept_[0]),
    )
