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


def chances(features: Floats, labels: npt.NDArray[np.bool_], weights: Floats, seed: int) -> Trees:
    """Trees whose score is the log odds of the label.

    Args:
        features: float64 [rows, F]; labels, weights: [rows].
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=100, min_samples_leaf=60, random_state=seed, **SETTINGS
    )
    return _checked(model.fit(features, labels, weights), features)


def values(features: Floats, targets: Floats, weights: Floats, seed: int) -> Trees:
    """Trees whose score is the target, by least squares."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    model = HistGradientBoostingRegressor(
        max_iter=120, min_samples_leaf=80, random_state=seed, **SETTINGS
    )
    return _checked(model.fit(features, targets, weights), features)


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
