"""Many questions, found by what they ask: the same one, or a paraphrase of it.

What a paraphrase is, search/paraphrase.py says. Corrections (search/corrections.py) and answers
that were given before (serve/cache.py) are found with it. It has no lock: its owner has one.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

import numpy as np

from flywheel.search.paraphrase import likeness, weight
from flywheel.search.wording import Wording

if TYPE_CHECKING:
    import numpy.typing as npt

T = TypeVar("T")

NEAR = 0.2
"""Shared weight from which a question is looked at closely; below it no guard is asked. Words
written as one here and as two there are not shared yet, nor what is alike beside others."""

NUM_CLOSE = 200
"""How many of those that may serve are looked at, the most similar first."""


class _Entry(NamedTuple, Generic[T]):
    item: T
    read: Wording


class Wordings(Generic[T]):
    """Items, each found by what its question asks."""

    def __init__(self) -> None:
        self._entries: list[_Entry[T] | None] = []
        self._totals = array("d")
        self._places: dict[Hashable, int] = {}
        self._free: list[int] = []
        """Places of what was removed, for what comes next."""
        self._by_key: dict[str, list[int]] = {}
        self._postings: dict[str, array[int]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def add(self, id: Hashable, read: Wording, item: T) -> None:
        """Adds an item, in the place of the one with the same id."""
        self.remove(id)
        place = self._place()
        self._entries[place] = _Entry(item, read)
        self._totals[place] = sum(map(weight, sorted(read.tokens)))
        self._places[id] = place
        self._by_key.setdefault(read.key, []).append(place)
        for token in read.tokens:
            self._postings.setdefault(token, array("q")).append(place)

    def _place(self) -> int:
        if not self._free:
            self._free.append(len(self._entries))
            self._entries.append(None)
            self._totals.append(0.0)
        return self._free.pop()

    def remove(self, id: Hashable) -> None:
        """Takes an item away, and all that was kept for it; nothing where there is none."""
        if (place := self._places.pop(id, None)) is None:
            return
        entry, self._entries[place] = self._entries[place], None
        assert entry is not None, "it has a place"
        _take_out(self._by_key, entry.read.key, place)
        for token in entry.read.tokens:
            _take_out(self._postings, token, place)
        self._free.append(place)

    def same(self, asked: Wording) -> Iterator[T]:
        """What has the same normal form."""
        entries = (self._entries[place] for place in self._by_key.get(asked.key, ()))
        return (entry.item for entry in entries if entry)

    def alike(self, asked: Wording, serves: Callable[[T], bool]) -> Iterator[tuple[T, float]]:
        """Paraphrases, each with the share of what both ask that is the same, from 0 to 1."""
        entries = (self._entries[place] for place in self._near(asked))
        # What may not serve must not take the place of what may.
        close = (each for each in entries if each and each.read.key != asked.key)
        for item, read in islice((each for each in close if serves(each.item)), NUM_CLOSE):
            like = likeness(asked, read)
            if not like.objection:
                yield item, like.similarity

    def _near(self, asked: Wording) -> list[int]:
        """The places of what shares most tokens by weight, best first."""
        shared = np.zeros(len(self._entries))
        total = 0.0
        for token in sorted(asked.tokens):
            total += weight(token)
            if token in self._postings:
                shared[np.array(self._postings[token])] += weight(token)
        together = total + np.array(self._totals) - shared
        shares = np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)
        near = np.flatnonzero(shares >= NEAR)
        order: npt.NDArray[np.intp] = np.argsort(-shares[near], kind="stable")
        places: list[int] = near[order].tolist()
        return places


def _take_out(lists: dict[str, list[int]] | dict[str, array[int]], name: str, place: int) -> None:
    """Takes a place out of a list; an empty list goes too, so that nothing grows for ever."""
    lists[name].remove(place)
    if not lists[name]:
        del lists[name]
