"""What shares its wording with the exam, and so may not be learned from.

Compared without case, marks and spaces, words and Han characters apart. As GPT-3's and Llama's
authors did: by long runs of words (Brown et al., "Language Models are Few-Shot Learners" (2020),
appendix C: 13 words, fewer down to 8 where the examined texts are shorter; Touvron et al.,
"Llama 2" (2023), appendix A.6: runs over 10 tokens). The domain's documents stay: an exam is about
them, and what its answers quote of them is no secret.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

from flywheel.records import ExamQuestion
from flywheel.search.terms import HAN_RUN, LATIN_WORD, fold

NUM_WORDS, NUM_HAN = 13, 30
"""A shared run of this length is no chance. 30 Han characters say about as much as 13 words."""
FEWEST_WORDS, FEWEST_HAN = 8, 18
"""Wordings between this length and the one above count as a whole; shorter questions only where a
text says nothing else."""

_Run = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Script:
    """Of which units a run consists."""

    longest: int
    fewest: int


_WORDS, _HAN = _Script(NUM_WORDS, FEWEST_WORDS), _Script(NUM_HAN, FEWEST_HAN)


class _Runs:
    """A set of runs, found by their beginnings in one pass over a text."""

    def __init__(self, script: _Script) -> None:
        self.script = script
        self._by_beginning: dict[_Run, set[_Run]] = defaultdict(set)

    def __bool__(self) -> bool:
        return bool(self._by_beginning)

    def add(self, units: Sequence[str]) -> None:
        """All runs of a wording: the long ones, or the whole where it is shorter."""
        length = min(len(units), self.script.longest)
        if length >= self.script.fewest:
            for start in range(len(units) - length + 1):
                run = tuple(units[start : start + length])
                self._by_beginning[run[: self.script.fewest]].add(run)

    def find(self, units: Sequence[str]) -> Iterator[_Run]:
        """The runs that stand in a text."""
        size = self.script.fewest
        for start in range(len(units) - size + 1):
            for run in self._by_beginning.get(tuple(units[start : start + size]), ()):
                if tuple(units[start : start + len(run)]) == run:
                    yield run

    def remove(self, units: Sequence[str]) -> None:
        """Takes away the runs that stand in a text."""
        for run in set(self.find(units)):
            runs = self._by_beginning[run[: self.script.fewest]]
            runs.discard(run)
            if not runs:
                del self._by_beginning[run[: self.script.fewest]]


class Overlap:
    """The exam's wording, ready to be looked for."""

    def __init__(self, exam: Iterable[ExamQuestion] = (), documents: Iterable[str] = ()) -> None:
        """
        Args:
            documents: texts of the domain. What a gold answer shares with them or with its own
                evidence is theirs, not the exam's.
        """
        questions = list(exam)
        self._whole = {_joined(each.question) for each in questions}
        self._asked = (_Runs(_WORDS), _Runs(_HAN))
        self._told = (_Runs(_WORDS), _Runs(_HAN))
        for each in questions:
            for runs, units in _paired(self._asked, each.question):
                runs.add(units)
            for runs, units in _paired(self._told, each.answer or ""):
                runs.add(units)
        for text in chain((text for each in questions for text in each.evidence), documents):
            if not any(self._told):
                break
            for runs, units in _paired(self._told, text):
                runs.remove(units)

    def holds(self, *texts: str) -> bool:
        """Whether one of the texts shares a long run with the exam, or is a question of it."""
        return any(self._holds(text) for text in texts)

    def _holds(self, text: str) -> bool:
        if not self._whole:
            return False
        if _joined(text) in self._whole:
            return True
        found = (
            run
            for every in (self._asked, self._told)
            for runs, units in _paired(every, text)
            for run in runs.find(units)
        )
        return next(found, None) is not None


def _paired(every: tuple[_Runs, _Runs], text: str) -> Iterator[tuple[_Runs, Sequence[str]]]:
    return zip(every, _units(text), strict=True)


@lru_cache(maxsize=4)
def _units(text: str) -> tuple[list[str], str]:
    """The words of a text, and its Han characters."""
    folded = fold(text)
    return LATIN_WORD.findall(folded), "".join(HAN_RUN.findall(folded))


def _joined(text: str) -> str:
    return "".join(char for char in fold(text) if char.isalnum())
