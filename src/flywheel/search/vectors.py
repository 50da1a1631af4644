"""Each passage's terms, beside the index: what learned features compare passages by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flywheel.search.frequencies import Frequencies

if TYPE_CHECKING:
    import numpy.typing as npt
    from scipy.sparse import csr_matrix

    from flywheel.search.terms import TermIds


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
        terms: npt.NDArray[np.int32] = np.load(self._folder / "terms.npy", mmap_mode="r")
        return terms

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
        return stacked([self._terms_of(each) for each in ids], self._frequencies.idf)

    def means(self, groups: Sequence[Sequence[str]]) -> csr_matrix:
        """One row for each group of passages: the mean of their vectors, of zeros for none."""
        from scipy.sparse import csr_matrix

        every = sorted({id for ids in groups for id in ids})
        places = {id: place for place, id in enumerate(every)}
        columns = [places[id] for ids in groups for id in ids]
        shares = [1 / len(ids) for ids in groups for _ in ids]
        offsets = np.cumsum([0, *(len(ids) for ids in groups)])
        mixing = csr_matrix((shares, columns, offsets), shape=(len(groups), len(every)))
        return (mixing @ self.of_passages(every)).tocsr()

    def _terms_of(self, passage: str) -> TermIds:
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


def projected(
    matrix: csr_matrix, terms: TermIds, weights: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Each row's inner product with a sparse vector, float64 [rows].

    A dense one of two million zeros costs ten times as much as the rest of a question.

    Args:
        terms: sorted; weights: of each term.
    """
    if not len(terms):
        return np.zeros(matrix.shape[0])
    places = np.minimum(np.searchsorted(terms, matrix.indices), len(terms) - 1)
    products = np.where(terms[places] == matrix.indices, weights[places] * matrix.data, 0.0)
    owners = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    return np.bincount(owners, products, matrix.shape[0]).astype(np.float64)


def summed(
    matrix: csr_matrix, weights: npt.NDArray[np.float64]
) -> tuple[TermIds, npt.NDArray[np.float64]]:
    """The rows' weighted sum: its terms, sorted, and the weight of each."""
    products = matrix.data * np.repeat(weights, np.diff(matrix.indptr))
    terms, places = np.unique(matrix.indices.astype(np.int64), return_inverse=True)
    return terms, np.bincount(places, products, len(terms)).astype(np.float64)
