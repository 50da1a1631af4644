"""Each passage's terms, beside the index: what learned features compare passages by.

A vector's terms are hashed into NUM_BUCKETS, and it is sparse.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flywheel.search.frequencies import Frequencies, mapped

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from flywheel.search.terms import TermIds

    Floats = npt.NDArray[np.float64]


class VectorWriter:
    """Collects the passages' terms while the index is built; 4 bytes a term in memory."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._terms: list[npt.NDArray[np.int32]] = []

    def add(self, passage: str, terms: TermIds) -> None:
        """One passage's distinct terms."""
        self._ids.append(passage)
        self._terms.append(terms.astype(np.int32))

    def save(self, folder: Path) -> None:
        """Writes them beside the index."""
        empty = np.zeros(0, dtype=np.int32)
        offsets = np.cumsum([0, *(len(each) for each in self._terms)], dtype=np.int64)
        np.save(folder / "terms.npy", np.concatenate([empty, *self._terms]), allow_pickle=False)
        np.save(folder / "offsets.npy", offsets, allow_pickle=False)
        np.save(
            folder / "passages.npy",
            np.array([each.encode() for each in self._ids], dtype="S"),
            allow_pickle=False,
        )


class TermVectors:
    """Unit vectors of idf weights over a passage's terms, made when they are asked for."""

    def __init__(self, folder: Path, frequencies: Frequencies) -> None:
        self._folder, self._frequencies = folder, frequencies

    @cached_property
    def _terms(self) -> npt.NDArray[np.int32]:
        return mapped(self._folder / "terms.npy")

    @cached_property
    def _offsets(self) -> npt.NDArray[np.int64]:
        offsets: npt.NDArray[np.int64] = np.load(self._folder / "offsets.npy")
        return offsets

    @cached_property
    def _rows(self) -> dict[str, int]:
        ids: list[bytes] = np.load(self._folder / "passages.npy").tolist()
        return {each.decode(): row for row, each in enumerate(ids)}

    def of_passages(self, ids: Sequence[str]) -> csr_matrix:
        """One row for each passage; of zeros where the index does not hold it."""
        return stacked([self.terms_of(each) for each in ids], self._frequencies.idf)

    def means(self, groups: Sequence[Sequence[str]]) -> TermMatrix:
        """One row for each group of passages: the mean of their vectors, of zeros for none."""
        from scipy.sparse import csr_matrix

        every = sorted({id for ids in groups for id in ids})
        places = {id: place for place, id in enumerate(every)}
        columns = [places[id] for ids in groups for id in ids]
        shares = [1 / len(ids) for ids in groups for _ in ids]
        offsets = np.cumsum([0, *(len(ids) for ids in groups)])
        mixing = csr_matrix((shares, columns, offsets), shape=(len(groups), len(every)))
        return TermMatrix((mixing @ self.of_passages(every)).tocsr())

    def weighed_by(self, frequencies: Frequencies) -> TermVectors:
        """The same terms, with other weights."""
        _ = self._terms, self._offsets, self._rows  # read once, for all
        other = copy.copy(self)
        other._frequencies = frequencies
        return other

    def terms_of(self, passage: str) -> TermIds:
        """A passage's distinct terms; none where the index does not hold it."""
        row = self._rows.get(passage)
        if row is None:
            return np.zeros(0, dtype=np.int64)
        return self._terms[self._offsets[row] : self._offsets[row + 1]].astype(np.int64)


def stacked(
    terms: Sequence[TermIds], weigh: Callable[[TermIds], npt.NDArray[np.float64]]
) -> csr_matrix:
    """Unit vectors, one row for each of the sets of terms."""
    from scipy.sparse import csr_matrix

    from flywheel.search.terms import NUM_BUCKETS

    lengths = [len(each) for each in terms]
    columns = np.concatenate([np.zeros(0, dtype=np.int64), *terms])
    weights = weigh(columns)
    owners = np.repeat(np.arange(len(terms)), lengths)
    norms = np.sqrt(np.bincount(owners, weights**2, len(terms)))
    weights = weights / np.maximum(norms[owners], 1e-9)
    offsets = np.cumsum([0, *lengths])
    return csr_matrix((weights, columns, offsets), shape=(len(terms), NUM_BUCKETS))


class TermMatrix:
    """Rows of weights over the terms that any of them has: V columns, not two million.

    A vector over the terms of one question, or over these, is short enough to be dense.
    """

    def __init__(self, matrix: csr_matrix) -> None:
        """From a matrix of NUM_BUCKETS columns."""
        from scipy.sparse import csr_matrix

        self.terms: TermIds
        self.terms, columns = np.unique(matrix.indices.astype(np.int64), return_inverse=True)
        shape = (matrix.shape[0], len(self.terms))
        self._matrix = csr_matrix((matrix.data, columns, matrix.indptr), shape=shape)

    def products(self, terms: TermIds, weights: Floats) -> Floats:
        """Each row's inner product with a sparse vector of sorted terms, float64 [rows]."""
        products: Floats = self._matrix @ aligned(terms, weights, self.terms)
        return products

    def summed(self, places: npt.NDArray[np.int64], weights: Floats) -> Floats:
        """The weighted sum of these rows: the weight of each of `terms`, float64 [V]."""
        total: Floats = self._matrix[places].T @ weights
        return total

    def kernel(self, places: npt.NDArray[np.int64]) -> Floats:
        """The inner products among these rows, float64 [places, places]."""
        rows = self._matrix[places]
        products: Floats = (rows @ rows.T).toarray()
        return products


def aligned(terms: TermIds, weights: Floats, wanted: TermIds) -> Floats:
    """The weight that each of the wanted terms has among others, 0 where it is none of them.

    Args:
        terms: distinct and sorted; weights: of each of them.
    """
    if not len(terms):
        return np.zeros(len(wanted))
    places = np.minimum(np.searchsorted(terms, wanted), len(terms) - 1)
    found: Floats = np.where(terms[places] == wanted, weights[places], 0.0)
    return found


class Projector:
    """Inner products of many passages with a few vectors, by one table of all buckets.

    Looking 15,000 terms up in a sorted list of thousands takes ten times as long as in a table of
    two million, and making that table as long again: so each thread keeps its own.
    """

    _of_thread = threading.local()

    def __init__(self, matrix: csr_matrix) -> None:
        """For a matrix of NUM_BUCKETS columns."""
        self._matrix = matrix
        self._owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))

    def products(self, terms: TermIds, weights: Floats) -> Floats:
        """Each row's inner product with a sparse vector, float64 [rows]."""
        return self._sums(self._weights(terms, weights) * self._matrix.data)

    def held(self, terms: TermIds, weights: Floats) -> Floats:
        """The weight of the terms that each row has at all, float64 [rows]."""
        return self._sums(self._weights(terms, weights))

    def _weights(self, terms: TermIds, weights: Floats) -> Floats:
        table = self._table()
        table[terms] = weights
        found: Floats = table[self._matrix.indices]
        table[terms] = 0.0
        return found

    def _sums(self, values: Floats) -> Floats:
        return np.bincount(self._owners, values, self._matrix.shape[0]).astype(np.float64)

    def _table(self) -> Floats:
        from flywheel.search.terms import NUM_BUCKETS

        if not hasattr(self._of_thread, "table"):
            self._of_thread.table = np.zeros(NUM_BUCKETS)
        table: Floats = self._of_thread.table
        return table
