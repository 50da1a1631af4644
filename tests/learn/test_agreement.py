"""Agreement and intervals, against published figures."""

from __future__ import annotations

import numpy as np
import pytest

from flywheel.learn.agreement import alpha, difference, share

# Krippendorff (2011), example B: two observers, ten units, 0 and 1; alpha is 0.095.
METER = (0, 1, 0, 0, 0, 0, 0, 0, 1, 0)
KARL = (1, 1, 1, 0, 0, 1, 0, 0, 0, 0)


def test_alpha_of_the_published_example() -> None:
    units = [{"m": bool(m), "k": bool(k)} for m, k in zip(METER, KARL, strict=True)]
    found = alpha(units)
    assert found is not None
    assert found.value == pytest.approx(0.095, abs=0.0005)
    assert found.low < found.value < found.high


def test_full_agreement_is_1_and_full_contradiction_below_0() -> None:
    agreed = alpha([{"a": True, "b": True}, {"a": False, "b": False}] * 10)
    contradicted = alpha([{"a": True, "b": False}] * 10)
    assert agreed is not None and (agreed.value, agreed.low) == (1.0, 1.0)
    assert contradicted is not None and contradicted.value < 0


def test_random_answers_agree_by_chance() -> None:
    said = np.random.default_rng(1).random((2000, 3)) < 0.7
    found = alpha([dict(zip("abc", map(bool, row), strict=True)) for row in said])
    assert found is not None
    assert found.low < 0 < found.high


def test_no_variation_tells_nothing() -> None:
    assert alpha([{"a": True, "b": True}] * 30) is None
    assert alpha([{"a": True}, {"a": False}]) is None
    assert alpha([]) is None


def test_wilson_interval_of_a_share() -> None:
    # Newcombe (1998), "Interval estimation for the single proportion", table I: 81 of 263.
    found = share(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert share(0, 10).low == 0.0
    assert share(10, 10).high == pytest.approx(1.0)


def test_newcombe_interval_of_a_difference() -> None:
    # Newcombe (1998), "Interval estimation for the difference", table II: 56/70 − 48/80.
    found = difference(share(56, 70), share(48, 80))
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)
