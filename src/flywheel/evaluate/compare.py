"""Two sittings of the same exam: is the challenger better, and could we have told?

Only the statistics of one metric. Which metrics must gain and which must not fall is the
gate's business.

A bootstrap resamples what was seen, so that a loss which none of the questions happened to meet
does not exist for it: with 20 questions, and rare but whole losses, its bound of 2.5 % errs in
a third of the cases (`bench/gate.py`). So one more group is drawn along that nobody has seen
and on which the challenger loses all there is to lose. Where nothing changed, the bound becomes
the rule of three (Hanley and Lippman-Hand 1983): in n groups without a loss, a loss of 3 / n is
not ruled out. With 250 groups it costs next to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from flywheel.evaluate import bootstrap, metrics
from flywheel.evaluate.bootstrap import Floats, Integers, Statistic
from flywheel.evaluate.exam import Sitting
from flywheel.evaluate.metrics import Row

ERROR_RATE = 0.05
"""What all decisions on the same items may spend together: the shares 1/(k (k+1)) sum to 1."""

MAX_RESAMPLES = 400_000
"""200 / α up to the ninth decision on the same items. Later ones err with at most 1 / 400,000 more
than their α: where that is smaller still, the smallest resample is the bound."""

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
    """The one-sided lower bound of the gain at `alpha`, the unseen group drawn along."""
    low_seen: float
    """The same of the groups that were seen alone: what speaks against the challenger in them."""
    high_seen: float
    """The upper bound of the same; both together, an interval of 1 - 2 `alpha`."""
    smallest_gain: float
    """What would have been seen four times of five, with differences that vary as these do."""
    alpha: float
    """The first decision's where not even that one was shown, since no later one is then."""
    num_resamples: int
    num_groups: int
    """Groups that the metric says something about."""
    num_changed: int
    """Those in which the two differ."""

    @property
    def is_better(self) -> bool:
        """Whether the gain is shown."""
        return self.low > 0

    def is_not_worse(self, margin: float) -> bool:
        """Whether a loss of `margin` or more is ruled out; never on too few groups to tell."""
        return self.low > -margin

    def shows_no_loss(self, margin: float) -> bool:
        """The same as far as the groups that were seen can tell; of fewer than `enough`, never."""
        return self.low_seen > -margin and self.num_groups >= enough(self.alpha)


def alpha_of(k: int) -> float:
    """What the k-th decision on the same items may err with, from 1: 0.05 / (k (k + 1))."""
    return ERROR_RATE / (k * (k + 1))


def enough(alpha: float) -> int:
    """How many fair coins fall on one side together less often than `alpha`."""
    return math.ceil(math.log2(1 / alpha))


def compare(
    champion: Sitting,
    challenger: Sitting,
    metric: str,
    k: int | None,
    seed: int,
    margin: float = 0.0,
) -> Comparison:
    """The paired bootstrap over question groups, one-sided.

    Args:
        k: this is the k-th decision on these items, which share 0.05; None for one that claims no
            gain and has 0.05 of its own.
        margin: what is to be shown is a change above -`margin`.

    Raises:
        ValueError: the sittings are not of the same questions, or the metric says nothing
            about them.
    """
    before, after = _telling(*_paired(champion, challenger), metric)
    pair = _Pair(before, after, metric)
    everyone = np.ones((1, pair.num_groups + 1))
    values = [float(of(pair.seen(everyone))[0]) for of in pair.statistics]
    if math.isnan(sum(values)):
        raise ValueError(f"{metric} says nothing about these questions")
    asked = ERROR_RATE if k is None else alpha_of(k)
    # A late decision asks for many resamples: only what the first would show is worth them.
    alpha = max(asked, alpha_of(1))
    drawn = _drawn(pair, alpha, seed)
    if asked < alpha and _low(drawn[0], alpha) > -margin:
        alpha = asked
        drawn = _drawn(pair, alpha, seed)
    low, low_seen = (_low(each, alpha) for each in drawn)
    seen = drawn[1][~np.isnan(drawn[1])]
    gain = pair.sign * (values[1] - values[0])
    return Comparison(
        metric=metric,
        champion=values[0],
        challenger=values[1],
        gain=gain,
        low=low,
        low_seen=low_seen,
        high_seen=float(np.quantile(seen, 1 - alpha)),
        smallest_gain=_smallest_gain(drawn[0], gain, asked, pair.num_groups),
        alpha=alpha,
        num_resamples=drawn.shape[1],
        num_groups=pair.num_groups,
        num_changed=_num_changed(before, after, metric),
    )


class _Pair:
    """A metric of both sittings, for weights of their groups, float64 [resamples, groups + 1].

    The last group is the one that nobody has seen; a metric that no single question has a value
    of knows none, and its weight is left out.
    """

    def __init__(self, before: list[Row], after: list[Row], metric: str) -> None:
        groups = [row.group for row in before]
        self._groups: Integers = bootstrap.number_groups(groups)
        self.num_groups = len(set(groups))
        lower = metric in metrics.LOWER_IS_BETTER
        self.sign = -1.0 if lower else 1.0
        self.statistics = (metrics.statistic(before, metric), metrics.statistic(after, metric))
        self._whole = self.statistics
        if metric in metrics.PER_QUESTION:
            best, worst = (0.0, 1.0) if lower else (1.0, 0.0)
            self._whole = (self._with(before, metric, best), self._with(after, metric, worst))

    def _with(self, rows: list[Row], metric: str, unseen: float) -> Statistic:
        """The mean over the rows and one more group of the usual size, with this value."""
        sizes = metrics.sizes(rows, metric).astype(np.float64)
        values = np.array([row.values.get(metric, 0.0) for row in rows])
        return bootstrap.mean(
            np.append(values, unseen), np.append(sizes, sizes.sum() / self.num_groups)
        )

    def seen(self, weights: Floats) -> Floats:
        """The weights of the rows."""
        return np.take(weights, self._groups, axis=1)

    def gain_seen(self, weights: Floats) -> Floats:
        """Of the groups that were seen."""
        champion, challenger = (of(self.seen(weights)) for of in self.statistics)
        return self.sign * (challenger - champion)

    def gain(self, weights: Floats) -> Floats:
        """With the unseen one."""
        if self._whole is self.statistics:
            return self.gain_seen(weights)
        everyone = np.concatenate([self.seen(weights), weights[:, -1:]], axis=1)
        champion, challenger = (of(everyone) for of in self._whole)
        return self.sign * (challenger - champion)


def _paired(champion: Sitting, challenger: Sitting) -> tuple[list[Row], list[Row]]:
    """The rows of both in the champion's order."""
    after = {row.question.id: row for row in challenger.rows}
    if {row.question.id for row in champion.rows} != after.keys() or not after:
        raise ValueError("the sittings are not of the same questions")
    return list(champion.rows), [after[row.question.id] for row in champion.rows]


def _telling(before: list[Row], after: list[Row], metric: str) -> tuple[list[Row], list[Row]]:
    """The rows that the metric says something about, on either side."""
    known = metrics.sizes(before, metric) + metrics.sizes(after, metric) > 0
    if not known.any():
        raise ValueError(f"{metric} says nothing about these questions")
    told = np.flatnonzero(known).tolist()
    return [before[place] for place in told], [after[place] for place in told]


def _drawn(pair: _Pair, alpha: float, seed: int) -> Floats:
    """The gain with the unseen group and without it: float64 [2, resamples]."""
    # ≥ 200 resamples beyond the bound: its own error is then below 7 % of alpha.
    num_resamples = min(math.ceil(200 / alpha), MAX_RESAMPLES)
    groups = np.arange(pair.num_groups + 1)
    return bootstrap.resample([pair.gain, pair.gain_seen], groups, num_resamples, seed)


def _low(drawn: Floats, alpha: float) -> float:
    # One that was drawn, not between two: differences are often a few values apart.
    return float(np.quantile(drawn[~np.isnan(drawn)], alpha, method="lower"))


def _smallest_gain(drawn: Floats, gain: float, alpha: float, num_groups: int) -> float:
    """What the unseen group takes away, and as many deviations as the bound and the power ask for.

    At least one group's: a deviation of 0 says that none differed, not that all can be seen.
    """
    normal = NormalDist()
    factor = normal.inv_cdf(1 - alpha) + normal.inv_cdf(POWER)
    drawn = drawn[~np.isnan(drawn)]
    return max(gain - float(drawn.mean()) + factor * float(drawn.std()), 1 / num_groups)


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
