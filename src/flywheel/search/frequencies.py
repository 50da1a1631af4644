"""How many passages hold a term: the weights behind sentence choice and confidence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flywheel.search.terms import NUM_BUCKETS

if TYPE_CHECKING:
    import numpy.typing as npt

    from flywheel.search.terms import TermIds


@dataclass(frozen=True, slots=True, eq=False)
class _LeftOut:
    """What does not count: few terms beside the two million that are counted."""

    terms: TermIds
    """Sorted."""
    counts: npt.NDArray[np.int64]

    def of(self, terms: TermIds) -> npt.NDArray[np.int64]:
        """How often each of some terms is left out."""
        if not len(self.terms):
            return np.zeros(len(terms), dtype=np.int64)
        places = np.minimum(np.searchsorted(self.terms, terms), len(self.terms) - 1)
        return np.where(self.terms[places] == terms, self.counts[places], 0)


class Frequencies:
    """Document frequencies of hashed terms over one index.

    Two terms that share a bucket look more frequent than they are; with fewer distinct terms
    than buckets that moves a weight by little, and never upwards.
    """

    def __init__(
        self, counts: npt.NDArray[np.uint32], num_passages: int, left_out: _LeftOut | None = None
    ) -> None:
        self._counts = counts
        self.num_passages = num_passages
        self._left_out = left_out

    @classmethod
    def empty(cls) -> Frequencies:
        """For counting from the start, with `add`."""
        return cls(np.zeros(NUM_BUCKETS, dtype=np.uint32), 0)

    def add(self, terms: TermIds) -> None:
        """Counts one passage's distinct terms."""
        self._counts[terms] += 1
        self.num_passages += 1

    def without(self, passages: Sequence[TermIds]) -> Frequencies:
        """As if these passages, by their terms, had not been counted."""
        empty = np.zeros(0, dtype=np.int64)
        left_out = _LeftOut(*np.unique(np.concatenate([empty, *passages]), return_counts=True))
        return Frequencies(self._counts, self.num_passages - len(passages), left_out)

    def idf(self, terms: TermIds) -> npt.NDArray[np.float64]:
        """Robertson's weight, ln(1 + (N - n + 0.5) / (n + 0.5)), for each term; above 0."""
        n = self._held(terms)
        return np.log1p((max(self.num_passages, 1) - n + 0.5).clip(0.5) / (n + 0.5))

    def known(self, terms: TermIds) -> npt.NDArray[np.bool_]:
        """Which of the terms occur in any passage."""
        return self._held(terms) > 0

    def _held(self, terms: TermIds) -> npt.NDArray[np.float64]:
        """How many passages hold each of the terms."""
        held: npt.NDArray[np.float64] = self._counts[terms].astype(np.float64)
        return held - self._left_out.of(terms) if self._left_out else held

    def save(self, folder: Path) -> None:
        """Writes the counts beside the index."""
        assert self._left_out is None, "what is saved is of all passages"
        np.save(folder / "frequencies.npy", self._counts, allow_pickle=False)
        (folder / "frequencies.json").write_text(json.dumps({"num_passages": self.num_passages}))

    @classmethod
    def load(cls, folder: Path) -> Frequencies:
        """Maps the counts that `save` wrote; nothing is read until it is asked for."""
        counts = mapped(folder / "frequencies.npy")
        about = json.loads((folder / "frequencies.json").read_text())
        return cls(counts, int(about["num_passages"]))


def mapped(file: Path) -> npt.NDArray[Any]:
    """A saved array, read as far as it is asked for."""
    # As a plain array: a memmap makes each of its slices one, too, which costs more than the slice.
    return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))
