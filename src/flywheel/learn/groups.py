"""Near-duplicate questions: what is a copy of an exam question must not be learned from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flywheel.search.terms import NUM_BUCKETS, term_ids

NEAR_DUPLICATE = 0.8
"""Share of terms that two questions of one group have in common (Jaccard)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Groups:
    """The group of each question, in the order given; a group is named by its first question."""

    training: tuple[int, ...]
    exam: tuple[int, ...]

    @property
    def overlapping(self) -> frozenset[int]:
        """Groups that hold questions of both kinds."""
        return frozenset(self.training) & frozenset(self.exam)


def group(training: Sequence[str], exam: Sequence[str]) -> Groups:
    """Joins questions that share most of their terms, directly or through others."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    terms = [term_ids(question) for question in (*training, *exam)]
    lengths = np.array([len(each) for each in terms])
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *terms])
    offsets = np.cumsum([0, *lengths])
    shape = (len(terms), NUM_BUCKETS)
    matrix = csr_matrix((np.ones(len(columns)), columns, offsets), shape=shape)
    shared = (matrix @ matrix.T).tocoo()
    union = lengths[shared.row] + lengths[shared.col] - shared.data
    near = shared.data >= NEAR_DUPLICATE * union
    edges = (np.ones(int(near.sum())), (shared.row[near], shared.col[near]))
    _, labels = connected_components(csr_matrix(edges, shape=shared.shape), directed=False)
    numbers = tuple(labels.tolist())
    return Groups(training=numbers[: len(training)], exam=numbers[len(training) :])
