"""Corrections that answer a question before any search: the same question, or a paraphrase of it.

How they are found, search/wordings.py says. Holds no passages and opens no store: the wheel fills
it, and adds to it what is committed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flywheel.records import Correction
from flywheel.search.wording import read, wording
from flywheel.search.wordings import Wordings


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
        self._wordings = Wordings[Correction]()
        for correction in corrections:
            self.add(correction)

    def __len__(self) -> int:
        return len(self._wordings)

    def add(self, correction: Correction) -> None:
        """Serves a correction from now on, in the place of the one with the same id."""
        asks = wording(correction.question)
        with self._lock:
            self._wordings.add(correction.id, asks, correction)

    def remove(self, id: str) -> None:
        """Serves a correction no longer; nothing where there is none."""
        with self._lock:
            self._wordings.remove(id)

    def match(self, question: str, user: str, access: Sequence[str]) -> Match | None:
        """The correction that answers this user's question, if there is one that he may read.

        The same question goes before a paraphrase, the more similar before the less, the newer
        before the older.
        """
        asked = read(question)
        readable = set(access)

        def serves(correction: Correction) -> bool:
            """An asker's own serves him alone, and no one what he may not read."""
            own = correction.verified or correction.user == user
            return own and not readable.isdisjoint(correction.access)

        with self._lock:
            same = filter(serves, self._wordings.same(asked))
            served = [Match(correction=each, similarity=1.0, exact=True) for each in same]
            for correction, similarity in self._wordings.alike(asked, serves):
                served.append(Match(correction=correction, similarity=similarity, exact=False))
        if not served:
            return None
        best = max(served, key=_precedence)
        return Match(
            correction=best.correction,
            similarity=best.similarity,
            exact=best.exact,
            disputed_with=_disputing(best.correction, served),
        )


def _precedence(match: Match) -> tuple[bool, float, str, str]:
    return match.exact, match.similarity, match.correction.at, match.correction.id


def _disputing(correction: Correction, found: Iterable[Match]) -> tuple[Correction, ...]:
    """What contradicts it of what this reader may read.

    Of two only the one may be marked, where some of its readers may not read the other one.
    """
    key = wording(correction.question).key
    others = [
        each.correction
        for each in found
        if each.correction.answer != correction.answer and each.correction.verified
    ]
    marked = (
        each
        for each in others
        if (each.disputed and correction.disputed)
        or (
            (each.disputed or correction.disputed)
            and correction.verified
            and wording(each.question).key == key
        )
    )
    return tuple(sorted(marked, key=lambda each: (each.at, each.id), reverse=True))
