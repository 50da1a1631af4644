"""Intervals and agreement for what users say yes or no to.

Small samples, so that intervals are Wilson's (1927) for a share, Newcombe's (1998, method 10) for
the difference of two, and a bootstrap over what was judged for agreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

NUM_RESAMPLES = 2000
Z = 1.959964
"""Two-sided 95 %."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A value between its 95 % bounds."""

    value: float
    low: float
    high: float


def share(part: int, whole: int) -> Interval:
    """A share with Wilson's interval; `whole` is above 0."""
    value = part / whole
    scale = 1 + Z**2 / whole
    middle = (value + Z**2 / (2 * whole)) / scale
    half = Z * sqrt(value * (1 - value) / whole + Z**2 / (4 * whole**2)) / scale
    return Interval(value=value, low=max(0.0, middle - half), high=min(1.0, middle + half))


def difference(one: Interval, other: Interval) -> Interval:
    """How much one share is above another, with Newcombe's interval."""
    value = one.value - other.value
    down = sqrt((one.value - one.low) ** 2 + (other.high - other.value) ** 2)
    up = sqrt((one.high - one.value) ** 2 + (other.value - other.low) ** 2)
    return Interval(value=value, low=value - down, high=value + up)


def alpha(units: Sequence[Mapping[str, bool]], seed: int = 1) -> Interval | None:
    """Krippendorff's alpha for yes and no: 1 is full agreement, 0 is chance.

    1 − D_o / D_e of Krippendorff, "Computing Krippendorff's alpha-reliability" (2011), section B;
    with a yes and b no among the m users of a unit, D_o sums 2ab / (m − 1).

    Args:
        units: of each thing judged, what each user said. Things with one user do not count.

    Returns:
        None where all users say the same of everything, which agrees and tells nothing.
    """
    counts = np.array(
        [(sum(each.values()), len(each) - sum(each.values())) for each in units if len(each) > 1],
        dtype=np.float64,
    ).reshape(-1, 2)
    if not counts.sum(axis=0).all():
        return None
    drawn = np.random.default_rng(seed).integers(len(counts), size=(NUM_RESAMPLES, len(counts)))
    resampled = _alphas(counts[drawn])
    low, high = np.nanquantile(resampled, (0.025, 0.975)).tolist()
    return Interval(value=float(_alphas(counts[None])[0]), low=low, high=high)


def _alphas(counts: Floats) -> Floats:
    """counts float64 [S, U, 2] of yes and no → alpha of each sample, [S]; nan where undefined."""
    yes, no = counts[..., 0], counts[..., 1]
    observed = (yes * no / (yes + no - 1)).sum(axis=1)
    all_yes, all_no = yes.sum(axis=1), no.sum(axis=1)
    expected = all_yes * all_no / (all_yes + all_no - 1)
    alphas: Floats = 1 - np.divide(
        observed, expected, out=np.full_like(observed, np.nan), where=expected > 0
    )
    return alphas
