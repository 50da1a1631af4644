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
