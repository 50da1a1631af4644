"""Gradient-boosted regression trees as plain arrays: what was fitted, without the library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]


class Trees:
    """The sum of one leaf of each tree.

    T trees of at most N nodes: `feature`, `left`, `right` are int64 [T, N], `threshold` and
    `value` float64 [T, N]; a leaf is its own child. Depth is that of the deepest tree.
    """

    def __init__(self, arrays: dict[str, Floats], depth: int) -> None:
        self._arrays, self._depth = arrays, depth
        self._feature = arrays["feature"].astype(np.int64)
        self._left = arrays["left"].astype(np.int64)
        self._right = arrays["right"].astype(np.int64)

    def score(self, features: Floats) -> Floats:
        """features float64 [C, F] → the raw prediction for each row, float64 [C]."""
        trees = np.arange(len(self._feature))
        nodes = np.zeros((len(features), len(trees)), dtype=np.int64)
        rows = np.arange(len(features))[:, None]
        for _ in range(self._depth):
            goes_left = (
                features[rows, self._feature[trees, nodes]]
                <= self._arrays["threshold"][trees, nodes]
            )
            nodes = np.where(goes_left, self._left[trees, nodes], self._right[trees, nodes])
        scores: Floats = self._arrays["value"][trees, nodes].sum(axis=1)
        return scores

    def save(self, path: Path) -> None:
        """Plain arrays, no pickle."""
        np.savez(path, depth=np.array(self._depth), **self._arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Trees:
        """What `save` wrote."""
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files if name != "depth"}
            return cls(arrays, int(data["depth"]))
