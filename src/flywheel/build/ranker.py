"""Learns the order of passages from questions whose evidence is known.

Boosted trees over search features (search/learned.py). Cross-fitted: while they are fitted, a
question sees neither its own feedback nor that of its near-duplicates, as a new question would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from flywheel.records import Example, Hit
from flywheel.search.index import PassageIndex, Reader
from flywheel.search.learned import LearnedRanker, QuestionField, Trees

if TYPE_CHECKING:
    import numpy.typing as npt

CODE_VERSION = 2
FEWEST = 50
"""Fewer questions than this teach less than the search's own order knows."""


def fit(
    questions: Sequence[Example],
    index: PassageIndex,
    search: Callable[[str], list[Hit]],
    seed: int = 1,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> LearnedRanker | None:
    """The order learned from these questions; None where they are too few.

    Args:
        search: what an unlearned version finds, best first.
    """
    if len(questions) < FEWEST:
        return None
    field = QuestionField(questions, index)
    everyone = Reader(
        access=tuple(sorted(index.labels() | {a for q in questions for a in q.access}))
    )
    features: list[npt.NDArray[np.float64]] = []
    labels: list[bool] = []
    for done, each in enumerate(questions, start=1):
        candidates, rows = field.candidates(
            each.question, search(each.question), everyone, without_group=each.group
        )
        features.append(rows)
        labels.extend(candidate.passage.id in each.passages for candidate in candidates)
        progress(done, len(questions))
    matrix = np.concatenate(features)
    if not 0 < sum(labels) < len(labels):
        return None
    return LearnedRanker(field, _boost(matrix, np.array(labels), seed))


def _boost(features: npt.NDArray[np.float64], labels: npt.NDArray[np.bool_], seed: int) -> Trees:
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=100,
        learning_rate=0.06,
        max_leaf_nodes=7,
        min_samples_leaf=60,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    ).fit(features, labels)
    trees = as_arrays(model)
    sample = features[:1000]
    # What is served must be what was fitted: the arrays are read from inside the library.
    assert np.allclose(trees.score(sample), model.decision_function(sample), atol=1e-9)
    return trees


def as_arrays(model: Any) -> Trees:
    """A fitted HistGradientBoostingClassifier without the library."""
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
