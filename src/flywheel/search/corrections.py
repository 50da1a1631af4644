"""Corrections that answer a question before any search: the same question, or a paraphrase of it.

What a paraphrase is, search/paraphrase.py says. Holds no passages and opens no store: the wheel
fills it, and adds to it what is committed.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from flywheel.records import Correction
from flywheel.search.paraphrase import likeness, weight
from flywheel.search.wording import Wording, wording

if TYPE_CHECKING:
    import numpy.typing as npt

NEAR = 0.2
"""Shared weight from which a correction is looked at closely; below it no guard is asked. Words
written as one here and as two there are not shared yet, nor what is alike beside others."""

NUM_CLOSE = 200
"""How many of those that may serve are looked at, the most similar first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The correction that answers a question."""

    correction: Correction
    similarity: float
    """The share of what both ask that is the same, from 0 to 1."""
    exact: bool
    """Whether the questions have the same normal form."""
    disputed_with: tuple[Correction, ...] = ()
    """What others say to the same question, where it is disputed; newest first."""


class CorrectionIndex:
    """The corrections of a workspace, found by question. Safe to share between threads."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._lock = threading.RLock()
        self._entries: list[tuple[Correction, Wording] | None] = []
        self._totals = array("d")
        self._places: dict[str, int] = {}
        self._free: list[int] = []
        """Places of what was removed, for what comes next."""
        self._by_key: dict[str, list[int]] = {}
        self._postings: dict[str, array[int]] = {}
        for correction in corrections:
            self.add(correction)

    def __len__(self) -> int:
        return len(self._places)

    def add(self, correction: Correction) -> None:
        """Serves a correction from now on, in the place of the one with the same id."""
        read = wording(correction.question)
        with self._lock:
            self.remove(correction.id)
            place = self._place()
            self._entries[place] = (correction, read)
            self._totals[place] = sum(map(weight, sorted(read.tokens)))
            self._places[correction.id] = place
            self._by_key.setdefault(read.key, []).append(place)
            for token in read.tokens:
                self._postings.setdefault(token, array("q")).append(place)

    def _place(self) -> int:
        if not self._free:
            self._free.append(len(self._entries))
            self._entries.append(None)
            self._totals.append(0.0)
        return self._free.pop()

    def remove(self, id: str) -> None:
        """Serves a correction no longer; nothing where there is none."""
        with self._lock:
            if (place := self._places.pop(id, None)) is None:
                return
            entry, self._entries[place] = self._entries[place], None
            assert entry is not None, "it has a place"
            _, read = entry
            self._by_key[read.key].remove(place)
            for token in read.tokens:
                self._postings[token].remove(place)
            self._free.append(place)

    def match(self, question: str, user: str, access: Sequence[str]) -> Match | None:
        """The correction that answers this user's question, if there is one that he may read.

        The same question goes before a paraphrase, the more similar before the less, the newer
        before the older.
        """
        asked = wording(question)
        readable = set(access)

        def serves(correction: Correction) -> bool:
            """An asker's own serves him alone, and no one what he may not read."""
            own = correction.verified or correction.user == user
            return own and not readable.isdisjoint(correction.access)

        with self._lock:
            served = [*self._same(asked, serves), *self._paraphrases(asked, serves)]
        if not served:
            return None
        best = max(served, key=_precedence)
        return Match(
            correction=best.correction,
            similarity=best.similarity,
            exact=best.exact,
            disputed_with=_disputing(best.correction, served),
        )

    def _same(self, asked: Wording, serves: Callable[[Correction], bool]) -> Iterator[Match]:
        for place in self._by_key.get(asked.key, ()):
            entry = self._entries[place]
            if entry and serves(entry[0]):
                yield Match(correction=entry[0], similarity=1.0, exact=True)

    def _paraphrases(self, asked: Wording, serves: Callable[[Correction], bool]) -> Iterator[Match]:
        entries = (self._entries[place] for place in self._near(asked))
        # What may not serve must not take the place of what may.
        close = (each for each in entries if each and each[1].key != asked.key and serves(each[0]))
        for correction, read in islice(close, NUM_CLOSE):
            like = likeness(asked, read)
            if not like.objection:
                yield Match(correction=correction, similarity=like.similarity, exact=False)

    def _near(self, asked: Wording) -> list[int]:
        """The places of the corrections that share most tokens by weight, best first."""
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


def _precedence(match: Match) -> tuple[bool, float, str, str]:
    return match.exact, match.similarity, match.correction.at, match.correction.id


def _disputing(correction: Correction, found: Iterable[Match]) -> tuple[Correction, ...]:
    if not correction.disputed:
        return ()
    others = (each.correction for each in found if each.correction.disputed)
    others = (each for each in others if each.answer != correction.answer)
    return tuple(sorted(others, key=lambda each: (each.at, each.id), reverse=True))
