"""Resampling question groups: what a figure would have been on other questions of the kind.

Questions that ask nearly the same thing form a group and are drawn together, since their
results are not independent (Efron and Tibshirani 1993, chapter 8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

Statistic: TypeAlias = Callable[[Floats], Floats]
"""Weights of the questions, (resamples, questions), to one value a resample; NaN where the
resample holds no question that counts."""

CELLS_AT_ONCE = 100_000
"""Weights held at a time: they stay in the processor's cache, which is ten times as quick as
2,000,000 at a time, and memory does not grow with the number of questions."""


def number_groups(groups: Sequence[str]) -> Integers:
    """The group of each question as a number from 0, in the order of appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(group, len(numbers)) for group in groups], dtype=np.int64)


def resample(
    statistics: Sequence[Statistic], groups: Integers, num_resamples: int, seed: int
) -> Floats:
    """Each statistic on `num_resamples` draws of the groups with replacement.

    Args:
        groups: (questions,) numbers as `number_groups` gives them, at least one question.

    Returns:
        (statistics, resamples). All statistics see the same draws.
    """
    num_groups = int(groups.max()) + 1
    generator = np.random.default_rng(seed)
    at_once = max(1, CELLS_AT_ONCE // max(num_groups, len(groups)))
    chunks: list[Floats] = []
    for start in range(0, num_resamples, at_once):
        counts = _draw(generator, min(at_once, num_resamples - start), num_groups)
        weights = counts if num_groups == len(groups) else np.take(counts, groups, axis=1)
        chunks.append(np.stack([statistic(weights) for statistic in statistics]))
    return np.concatenate(chunks, axis=1)


def _draw(generator: np.random.Generator, num_resamples: int, num_groups: int) -> Floats:
    """How often each group was drawn: (resamples, groups)."""
    drawn = generator.integers(0, num_groups, (num_resamples, num_groups))
    drawn += np.arange(num_resamples)[:, None] * num_groups
    counts = np.bincount(drawn.ravel(), minlength=num_resamples * num_groups)
    return counts.reshape(num_resamples, num_groups).astype(np.float64)


def mean(values: Floats, sizes: Floats) -> Statistic:
    """The mean of `values`, each counting `sizes` times; size 0 leaves a question out."""
    totals = values * sizes

    def of(weights: Floats) -> Floats:
        return _ratio(weights @ totals, weights @ sizes)

    return of


def quantile(values: Floats, level: float) -> Statistic:
    """The smallest value that at least `level` of the questions do not exceed."""
    order = np.argsort(values, kind="stable")
    ordered: Floats = values[order]

    def of(weights: Floats) -> Floats:
        reached = np.cumsum(np.take(weights, order, axis=1), axis=1)
        # A hair below the level: 0.95 × 20 is not to ask for a twentieth of a question more.
        wanted = reached[:, -1:] * level - 1e-9
        first: Integers = np.argmax(reached >= wanted, axis=1)
        return ordered[first]

    return of


def auroc(confidence: Floats, hit: Floats, known: Floats) -> Statistic:
    """The chance that a hit has a higher confidence than a miss; ties count half.

    Args:
        hit, known: (questions,) of 0 and 1; what is not known is left out.
    """
    order = np.argsort(confidence, kind="stable")
    starts = np.flatnonzero(np.diff(confidence[order], prepend=-np.inf))
    hits, misses = (hit * known)[order], ((1 - hit) * known)[order]

    def of(weights: Floats) -> Floats:
        ordered = np.take(weights, order, axis=1)
        num_hits = np.add.reduceat(ordered * hits, starts, axis=1)
        num_misses = np.add.reduceat(ordered * misses, starts, axis=1)
        below = np.cumsum(num_misses, axis=1) - num_misses / 2
        return _ratio((num_hits * below).sum(axis=1), num_hits.sum(axis=1) * num_misses.sum(axis=1))

    return of


def calibration_error(confidence: Floats, hit: Floats, known: Floats, num_bins: int) -> Statistic:
    """Mean distance of confidence from the share of hits, over bins of equal width."""
    bins = np.clip((confidence * num_bins).astype(np.int64), 0, num_bins - 1)
    gaps = np.eye(num_bins)[bins] * ((confidence - hit) * known)[:, None]

    def of(weights: Floats) -> Floats:
        return _ratio(np.abs(weights @ gaps).sum(axis=1), weights @ known)

    return of


def _ratio(above: Floats, below: Floats) -> Floats:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
