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
        num_trees, num_nodes = arrays["feature"].shape
        self._roots = np.arange(num_trees, dtype=np.int64) * num_nodes
        # All nodes in a row: one index a node is looked up twice as quickly as two.
        self._feature = arrays["feature"].astype(np.int64).ravel()
        self._threshold = arrays["threshold"].ravel()
        self._value = arrays["value"].ravel()
        children = np.stack([arrays["right"], arrays["left"]], axis=-1).astype(np.int64)
        self._children = (children + self._roots[:, None, None]).ravel()

    def score(self, features: Floats) -> Floats:
        """features float64 [C, F] → the raw prediction for each row, float64 [C]."""
        flat = np.ascontiguousarray(features).ravel()
        rows = np.arange(len(features), dtype=np.int64)[:, None] * features.shape[1]
        nodes = np.broadcast_to(self._roots, (len(features), len(self._roots)))
        for _ in range(self._depth):
            values = flat.take(rows + self._feature.take(nodes))
            goes_left = values <= self._threshold.take(nodes)
            nodes = self._children.take(2 * nodes + goes_left)
        scores: Floats = self._value.take(nodes).sum(axis=1)
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
