"""The trees that serve are the trees that were fitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from flywheel.build.boosting import NUM_BINS, as_arrays, binned, chances
from flywheel.search.trees import Trees


def test_arrays_score_as_the_library_does_and_survive_the_disk(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(800, 5))
    labels = features[:, 0] * features[:, 1] + 0.3 * random.normal(size=800) > 0
    model = HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=7, random_state=1)
    trees = as_arrays(model.fit(features, labels))
    unseen = random.normal(size=(300, 5))
    assert np.allclose(trees.score(unseen), model.decision_function(unseen))
    trees.save(tmp_path / "trees.npz")
    assert np.array_equal(Trees.load(tmp_path / "trees.npz").score(unseen), trees.score(unseen))


def test_no_candidate_is_scored_as_none(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    model = HistGradientBoostingClassifier(max_iter=3, random_state=1)
    features = random.normal(size=(100, 3))
    trees = as_arrays(model.fit(features, features[:, 0] > 0))
    assert trees.score(np.zeros((0, 3))).shape == (0,)


def test_a_value_scores_as_its_bin_does() -> None:
    random = np.random.default_rng(1)
    features = random.normal(size=(3_000, 4))
    features[:, 1] = features[:, 1].round(1)
    labels = features[:, 0] + features[:, 1] > 0
    coarse = binned(features)
    assert all(len(np.unique(column)) <= NUM_BINS for column in coarse.T)
    assert np.array_equal(coarse[:, 1], features[:, 1])
    trees = chances(features, labels, np.ones(len(labels)), seed=1)
    assert np.allclose(trees.score(features), trees.score(coarse))
