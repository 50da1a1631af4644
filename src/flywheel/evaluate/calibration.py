"""The reliability diagram: how often answers of each confidence were right.

For whoever looks at a version. The gate judges by Brier and the expected calibration error, which
metrics.py defines; the bins are theirs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flywheel.evaluate.metrics import NUM_BINS, Row

_Z = 1.959964
"""Of a 95 % interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share of some items, with its interval."""

    value: float
    low: float
    high: float
    count: int
    """The items that it is a share of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bin:
    """The questions whose confidence lies in one fifth of the scale."""

    low: float
    high: float
    count: int
    confidence: float
    """Their mean confidence; 0 where there are none."""
    hits: Share | None
    """How many of them were right; None where there are none."""


def share(num: int, of: int) -> Share | None:
    """A share with its 95 % interval (Wilson 1927), which stays within 0 and 1 and is honest for
    few items; None of nothing."""
    if of <= 0:
        return None
    value, spread = num / of, _Z * _Z / of
    middle = (value + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(value * (1 - value) / of + spread / (4 * of))
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Share(value=value, low=min(low, value), high=max(high, value), count=of)


def reliability(rows: Sequence[Row]) -> tuple[Bin, ...]:
    """The bins of equal width that the expected calibration error is counted in, the least
    confident first; of the questions where it is known whether the first citation hits."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(NUM_BINS)]
    for row in rows:
        if row.hit is not None:
            confidence = min(max(row.answer.confidence, 0.0), 1.0)
            bins[min(int(confidence * NUM_BINS), NUM_BINS - 1)].append((confidence, row.hit))
    return tuple(
        Bin(
            low=place / NUM_BINS,
            high=(place + 1) / NUM_BINS,
            count=len(held),
            confidence=sum(each for each, _ in held) / len(held) if held else 0.0,
            hits=share(sum(hit for _, hit in held), len(held)),
        )
        for place, held in enumerate(bins)
    )
