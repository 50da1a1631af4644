"""Two sittings of the same exam: is the challenger better, and could we have told?

Only the statistics of one metric. Which metrics must gain and which must not fall is the
gate's business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from flywheel.evaluate import bootstrap, metrics
from flywheel.evaluate.bootstrap import Floats, Statistic
from flywheel.evaluate.exam import Sitting
from flywheel.evaluate.metrics import Row

ERROR_RATE = 0.05
"""What all decisions on the same items may spend together: the shares 1/(k (k+1)) sum to 1."""

POWER = 0.8
"""The chance with which `smallest_gain` would have been seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The gain of a challenger over a champion on one metric. A gain above 0 is for the better,
    also where less of the metric is better."""

    metric: str
    champion: float
    challenger: float
    gain: float
    low: float
    """The one-sided lower bound of the gain at `alpha`."""
    high: float
    """The upper bound at the same; both together, an interval of 1 - 2 `alpha`."""
    smallest_gain: float
    """What would have been seen four times of five, with differences that vary as these do."""
    alpha: float
    num_resamples: int
    num_groups: int
    num_changed: int
    """Groups in which the two differ."""

    @property
    def is_better(self) -> bool:
        """Whether the gain is shown.

        Fewer changed groups than `enough` show nothing at `alpha`, even if all are for the
        better: a fair coin does that too. The bootstrap alone would believe four of four.
        """
        return self.low > 0 and self.num_changed >= enough(self.alpha)

    def is_not_worse(self, margin: float) -> bool:
        """Whether a loss of `margin` or more is ruled out; never on too few groups to tell."""
        return self.low > -margin and self.num_groups >= enough(self.alpha)


def compare(champion: Sitting, challenger: Sitting, metric: str, k: int, seed: int) -> Comparison:
    """The paired bootstrap over question groups, one-sided.

    Args:
        k: this is the k-th decision on these items, from 1; it may err with a probability of
            0.05 / (k (k + 1)).

    Raises:
        ValueError: the sittings are not of the same questions, or the metric says nothing
            about them.
    """
    before, after = _paired(champion, challenger)
    statistics = (metrics.statistic(before, metric), metrics.statistic(after, metric))
    everyone = np.ones((1, len(before)))
    values = [float(of(everyone)[0]) for of in statistics]
    if math.isnan(sum(values)):
        raise ValueError(f"{metric} says nothing about these questions")
    sign = -1.0 if metric in metrics.LOWER_IS_BETTER else 1.0
    alpha = ERROR_RATE / (k * (k + 1))
    groups = bootstrap.number_groups([row.group for row in before])
    gain = _gain(*statistics, sign)
    # ≥ 200 resamples beyond the bound: its own error is then below 7 % of alpha.
    drawn = bootstrap.resample([gain], groups, math.ceil(200 / alpha), seed)[0]
    drawn = drawn[~np.isnan(drawn)]
    num_groups = len(set(groups.tolist()))
    return Comparison(
        metric=metric,
        champion=values[0],
        challenger=values[1],
        gain=sign * (values[1] - values[0]),
        low=float(np.quantile(drawn, alpha)),
        high=float(np.quantile(drawn, 1 - alpha)),
        smallest_gain=_smallest_gain(float(drawn.std()), alpha, num_groups),
        alpha=alpha,
        num_resamples=len(drawn),
        num_groups=num_groups,
        num_changed=_num_changed(before, after, metric),
    )


def enough(alpha: float) -> int:
    """How many fair coins fall on one side together less often than `alpha`."""
    return math.ceil(math.log2(1 / alpha))


def _paired(champion: Sitting, challenger: Sitting) -> tuple[list[Row], list[Row]]:
    """The rows of both in the champion's order."""
    after = {row.question.id: row for row in challenger.rows}
    if {row.question.id for row in champion.rows} != after.keys() or not after:
        raise ValueError("the sittings are not of the same questions")
    return list(champion.rows), [after[row.question.id] for row in champion.rows]


def _gain(champion: Statistic, challenger: Statistic, sign: float) -> Statistic:
    def of(weights: Floats) -> Floats:
        return sign * (challenger(weights) - champion(weights))

    return of


def _smallest_gain(deviation: float, alpha: float, num_groups: int) -> float:
    """At least one group's: a deviation of 0 says that none differed, not that all can be seen."""
    normal = NormalDist()
    factor = normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER)
    return max(factor * deviation, 1 / num_groups)


def _num_changed(before: list[Row], after: list[Row], metric: str) -> int:
    """Groups in which what the metric is made of differs."""
    changed = {
        old.group
        for old, new in zip(before, after, strict=True)
        if _ingredients(old, metric) != _ingredients(new, metric)
    }
    return len(changed)


def _ingredients(row: Row, metric: str) -> tuple[object, ...]:
    if metric in metrics.PER_QUESTION:
        return (row.values.get(metric),)
    if metric.startswith("latency_"):
        return (row.latency_ms,)
    return (row.answer.confidence, row.hit)
