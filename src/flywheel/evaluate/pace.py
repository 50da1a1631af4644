"""Two versions timed on the same questions, in turn: is one quicker?

What a machine does besides changes its speed from minute to minute, so each question is asked of
both right after each other, the first of the pair in turn, and the pairs are compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from flywheel.evaluate import bootstrap

NUM_RESAMPLES = 4000
"""200 / 0.05."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """The challenger's time as a share of the champion's."""

    share: float
    """The geometric mean over the questions."""
    high: float
    """Its one-sided upper bound at 0.05."""
    num_questions: int


def pace(
    questions: Sequence[str],
    champion: Callable[[str], object],
    challenger: Callable[[str], object],
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Pace:
    """Asks both every question once, not counting the first, which may have files to open.

    Raises:
        ValueError: there are not two questions.
    """
    if len(questions) < 2:
        raise ValueError("one question cannot be timed: the first only warms up")
    logs = []
    for place, question in enumerate(questions):
        took = {}
        for side in (champion, challenger) if place % 2 else (challenger, champion):
            started = clock()
            side(question)
            took[side] = clock() - started
        logs.append(np.log(took[challenger] / took[champion]))
    counted = np.array(logs[1:])
    mean = bootstrap.mean(counted, np.ones(len(counted)))
    drawn = bootstrap.resample([mean], np.arange(len(counted)), NUM_RESAMPLES, seed)[0]
    return Pace(
        share=float(np.exp(counted.mean())),
        high=float(np.exp(np.quantile(drawn, 0.95, method="higher"))),
        num_questions=len(counted),
    )
