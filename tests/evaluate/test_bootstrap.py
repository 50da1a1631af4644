"""The weighted statistics against plain computations on the repeated items."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from flywheel.evaluate import bootstrap
from flywheel.evaluate.bootstrap import Floats

ITEMS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.3, 0.7, 1.0]), st.booleans(), st.integers(0, 3)),
    min_size=1,
    max_size=12,
)


def auroc_by_pairs(confidence: Floats, hit: Floats) -> float:
    pairs = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in confidence[hit == 1]
        for low in confidence[hit == 0]
    ]
    return float(np.mean(pairs)) if pairs else float("nan")


@given(ITEMS)
@settings(deadline=None)
def test_a_weight_counts_an_item_that_often(items: list[tuple[float, bool, int]]) -> None:
    value, hit, weight = (np.array(column, dtype=np.float64) for column in zip(*items, strict=True))
    times = weight.astype(int)
    known = np.ones(len(items))
    weights = weight[None, :]
    if not times.sum():
        assert np.isnan(bootstrap.mean(value, known)(weights)[0])
        return
    repeated = np.repeat(value, times)
    assert_allclose(bootstrap.mean(value, known)(weights), [repeated.mean()])
    expected = np.quantile(repeated, 0.5, method="inverted_cdf")
    assert_allclose(bootstrap.quantile(value, 0.5)(weights), [expected])
    auroc = bootstrap.auroc(value, hit, known)(weights)[0]
    assert_allclose(auroc, auroc_by_pairs(repeated, np.repeat(hit, times)))


def test_resampling_is_seeded_and_shared_by_all_statistics() -> None:
    value = np.arange(10.0)
    mean = bootstrap.mean(value, np.ones(10))
    groups = bootstrap.number_groups([str(place // 2) for place in range(10)])
    drawn = bootstrap.resample([mean, mean], groups, 500, seed=3)
    assert drawn.shape == (2, 500)
    assert_allclose(drawn[0], drawn[1])
    assert_allclose(drawn, bootstrap.resample([mean, mean], groups, 500, seed=3))
    assert drawn[0].mean() == pytest.approx(4.5, abs=0.3)


def test_a_group_is_drawn_as_a_whole() -> None:
    groups = bootstrap.number_groups(["a", "a", "b"])
    first = bootstrap.mean(np.array([1.0, 0, 0]), np.ones(3))
    second = bootstrap.mean(np.array([0.0, 1, 0]), np.ones(3))
    drawn = bootstrap.resample([first, second], groups, 50, seed=1)
    assert_allclose(drawn[0], drawn[1])


def test_the_draws_do_not_depend_on_how_many_fit_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    groups = bootstrap.number_groups(list("abcdefgh"))
    mean = bootstrap.mean(np.arange(8.0), np.ones(8))
    whole = bootstrap.resample([mean], groups, 100, seed=5)
    monkeypatch.setattr(bootstrap, "CELLS_AT_ONCE", 24)
    assert_allclose(bootstrap.resample([mean], groups, 100, seed=5), whole)


def test_calibration_error_is_the_weighted_distance_of_the_bins() -> None:
    confidence = np.array([0.9, 0.9, 0.1, 0.1])
    hit = np.array([1.0, 0.0, 0.0, 0.0])
    error = bootstrap.calibration_error(confidence, hit, np.ones(4), 5)
    assert_allclose(error(np.ones((1, 4))), [(2 * 0.4 + 2 * 0.1) / 4])
