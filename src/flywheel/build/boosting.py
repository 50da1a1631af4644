"""Fits gradient-boosted trees (Friedman 2001), and hands them over as plain arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from flywheel.search.trees import Trees

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

SETTINGS: dict[str, Any] = {
    "learning_rate": 0.06,
    "max_leaf_nodes": 7,
    "l2_regularization": 5.0,
    "early_stopping": False,
}
"""Shallow and slow: a thousand questions are few. 15 leaves or twice the trees gain nothing."""
NUM_BINS = 255
"""The most that the library tells apart, of each feature."""


def chances(features: Floats, labels: npt.NDArray[np.bool_], weights: Floats, seed: int) -> Trees:
    """Trees whose score is the log odds of the label.

    Args:
        features: float64 [rows, F]; labels, weights: [rows].
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=100, min_samples_leaf=60, random_state=seed, **SETTINGS
    )
    return _checked(model.fit(binned(features), labels, weights), features)


def values(features: Floats, targets: Floats, weights: Floats, seed: int) -> Trees:
    """Trees whose score is the target, by least squares."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=120, min_samples_leaf=80, random_state=seed, **SETTINGS
    )
    return _checked(model.fit(binned(features), targets, weights), features)


def binned(features: Floats) -> Floats:
    """Each feature's values as the nearest of at most NUM_BINS of them, at its quantiles.

    The library would do this itself, but where rows have weights it takes each percentile from a
    sort of its own: ten times as long as the trees. It cuts halfway between two values, so that a
    value falls on the side of its nearest one, when served as when fitted.
    """
    return np.stack([_nearest(each) for each in features.T], axis=1)


def _nearest(values: Floats) -> Floats:
    kept = np.unique(values)
    if len(kept) > NUM_BINS:
        shares = np.linspace(0.0, 1.0, NUM_BINS)
        kept = np.unique(np.quantile(values, shares, method="nearest"))
    nearest: Floats = kept[np.searchsorted((kept[1:] + kept[:-1]) / 2, values)]
    return nearest


def _checked(model: Any, features: Floats) -> Trees:
    trees = as_arrays(model)
    sample = features[:1000]
    raw = getattr(model, "decision_function", model.predict)(sample)
    # What is served must be what was fitted: the arrays are read from inside the library.
    assert np.allclose(trees.score(sample), raw, atol=1e-9)
    return trees


def as_arrays(model: Any) -> Trees:
    """A fitted HistGradientBoosting model of one output without the library."""
    predictors = [each[0].nodes for each in model._predictors]
    width = max(len(nodes) for nodes in predictors)
    shape = (len(predictors) + 1, width)
    arrays = {name: np.zeros(shape) for name in ("feature", "threshold", "left", "right", "value")}
    for place, nodes in enumerate(predictors):
        own = np.arange(len(nodes))
        is_leaf = nodes["is_leaf"].astype(bool)
        used = slice(0, len(nodes))
        arrays["feature"][place, used] = np.where(is_leaf, 0, nodes["feature_idx"])
        arrays["threshold"][place, used] = np.where(is_leaf, 0.0, nodes["num_threshold"])
        arrays["left"][place, used] = np.where(is_leaf, own, nodes["left"])
        arrays["right"][place, used] = np.where(is_leaf, own, nodes["right"])
        arrays["value"][place, used] = nodes["value"]
    arrays["value"][-1, 0] = float(np.ravel(model._baseline_prediction)[0])
    depth = max(int(nodes["depth"].max()) for nodes in predictors)
    return Trees(arrays, depth)
