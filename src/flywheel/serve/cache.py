"""Answers that are given again without searching: to the same question, or to a paraphrase of it.

An answer holds where the same documents, read by the same labels and answered by the same version,
would give it again, and nowhere else. What no longer holds is dropped, so that nothing that was
erased stays in memory.

A paraphrase is given only what was an answer. Asking back and abstaining are what comes of the
words that were chosen: with other words more may be found, so they are repeated to the same
question only.

Not here: corrections, which come first and change at any time, and so are never kept
(wheel/answering.py); what two questions must share to be one (search/paraphrase.py).
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from flywheel.collect import privacy
from flywheel.records import Answer
from flywheel.search.index import Reader
from flywheel.search.terms import fold, has_han
from flywheel.search.vocabulary import function_words
from flywheel.search.wording import Wording, read
from flywheel.search.wordings import Wordings
from flywheel.wheel.serving import CacheSettings

MAX_CHARACTERS = 500
"""Longer questions are hardly ever asked twice; they are not looked up, nor kept."""

How = Literal["exact", "paraphrase"]

_Shelf = tuple[int, tuple[str, ...], tuple[object, ...], int]
"""Version, labels, what else shapes the answer, number of candidates: where an answer holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where an answer holds: only in an equal place."""

    version: int
    reader: Reader
    """The labels, and the documents that are hidden from them or shown to them since the version
    was built."""
    sampling: tuple[object, ...]
    """Hashable: whatever else shapes the answer."""
    num_candidates: int = 1
    num_erasures: int = 0
    """How often something was erased. What was kept before the last time is dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """An answer that was given before."""

    candidates: tuple[Answer, ...]
    """As they were, with the question as it is asked now. Their times are those of the first
    answer: what is saved now."""
    how: How
    asked: str
    """The question as it was asked then."""


class _Asked(NamedTuple):
    """A question, as far as it must agree with another."""

    exact: tuple[str, ...]
    """Equal where the questions are the same but for case, punctuation and courtesies."""
    marks: tuple[str, ...]
    """What has to agree in a paraphrase, too, and is in no wording."""
    wording: Wording


class _Entry(NamedTuple):
    asked: str
    exact: tuple[str, ...]
    marks: tuple[str, ...]
    candidates: tuple[Answer, ...]


class _Documents(NamedTuple):
    """The state of the documents, as far as a reader tells it."""

    num_erasures: int
    changed: frozenset[str]
    """What was deleted, or has other labels than in the index. The same whoever reads it, since
    that is either hidden from him or shown to him."""

    @classmethod
    def of(cls, place: Place) -> _Documents:
        return cls(place.num_erasures, frozenset((*place.reader.hidden, *place.reader.widened)))


class AnswerCache:
    """The answers that were given last, by the questions that they were given to.

    Safe to share between threads.
    """

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[_Shelf, tuple[str, ...]], _Entry] = OrderedDict()
        """From the one that was used longest ago to the one that was used last."""
        self._paraphrases: dict[_Shelf, Wordings[_Entry]] = {}
        self._documents: _Documents | None = None
        self._readers: dict[tuple[str, ...], Reader] = {}
        """What each set of labels last saw."""
        self._versions: set[int] = set()
        """Those that were asked since a newer one came."""

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, question: str, place: Place) -> Found | None:
        """The answer that was given to this question in an equal place, if it is still kept.

        What no longer holds, now that this place is asked, is dropped.
        """
        asked = self._read(question)
        with self._lock:
            self._arrive(place)
            shelf = _shelf(place)
            if asked is None:
                return None
            entry = self._entries.get((shelf, asked.exact)) or self._paraphrase(asked, shelf)
            if entry is None:
                return None
            self._entries.move_to_end((shelf, entry.exact))
        candidates = tuple(replace(each, question=question) for each in entry.candidates)
        how: How = "exact" if entry.exact == asked.exact else "paraphrase"
        return Found(candidates=candidates, how=how, asked=entry.asked)

    def put(self, question: str, place: Place, candidates: Sequence[Answer]) -> None:
        """Keeps the answer to a question that `find` did not find.

        Nothing is kept where a correction or an engine's failure had a part in it, where the
        question holds personal data, or where the place has gone stale meanwhile.
        """
        asked = self._read(question)
        if asked is None or not candidates or not all(map(_may_be_kept, candidates)):
            return
        if privacy.find(question):
            return
        with self._lock:
            if not self._stands(place):
                return
            entry = _Entry(question, asked.exact, asked.marks, tuple(candidates))
            shelf = _shelf(place)
            self._drop(shelf, asked.exact)
            self._entries[shelf, asked.exact] = entry
            if self._settings.paraphrases and all(each.kind == "answer" for each in candidates):
                wordings = self._paraphrases.setdefault(shelf, Wordings())
                wordings.add(asked.exact, asked.wording, entry)
            if len(self._entries) > self._settings.size:
                self._drop(*next(iter(self._entries)))

    def clear(self) -> None:
        """Drops everything. What is being answered at the moment is not kept either."""
        with self._lock:
            self._clear()

    def _clear(self) -> None:
        self._entries.clear()
        self._paraphrases.clear()
        self._readers.clear()
        self._versions.clear()
        self._documents = None

    def _read(self, question: str) -> _Asked | None:
        """Reads a question; None where it is not for the cache."""
        if not self._settings.size or len(question) > MAX_CHARACTERS:
            return None
        wording = read(question)
        marks = (_language(question), *_marks(question))
        return _Asked((wording.key, *marks), (*marks, *_letters(question)), wording)

    def _arrive(self, place: Place) -> None:
        """Drops what this place shows to be stale: of other documents, or of an older version."""
        seen = self._readers.get(place.reader.access)
        erased = self._documents and self._documents.num_erasures != place.num_erasures
        if seen != place.reader or erased:
            documents = _Documents.of(place)
            if seen or documents != self._documents:
                self._clear()
            self._documents = documents
            self._readers[place.reader.access] = place.reader
        if self._versions and place.version > max(self._versions):
            for shelf, exact in [each for each in self._entries if each[0][0] < place.version]:
                self._drop(shelf, exact)
            self._versions.clear()
        self._versions.add(place.version)

    def _stands(self, place: Place) -> bool:
        """Whether a place has not gone stale since `find` was asked of it."""
        documents = self._documents
        return (
            documents is not None
            and documents.num_erasures == place.num_erasures
            and self._readers.get(place.reader.access) == place.reader
            and place.version in self._versions
        )

    def _paraphrase(self, asked: _Asked, shelf: _Shelf) -> _Entry | None:
        """The most similar one, and of equal ones the one whose question comes first."""
        wordings = self._paraphrases.get(shelf)
        if wordings is None:
            return None
        alike = wordings.alike(asked.wording, lambda entry: entry.marks == asked.marks)
        return min(alike, key=lambda each: (-each[1], each[0].asked), default=(None, 0.0))[0]

    def _drop(self, shelf: _Shelf, exact: tuple[str, ...]) -> None:
        self._entries.pop((shelf, exact), None)
        if wordings := self._paraphrases.get(shelf):
            wordings.remove(exact)
            if not wordings:
                del self._paraphrases[shelf]


def _shelf(place: Place) -> _Shelf:
    """Without what all that is kept has in common: the documents as they are now."""
    return place.version, place.reader.access, place.sampling, place.num_candidates


def _may_be_kept(answer: Answer) -> bool:
    """Whether it would be given again: corrections change, and an engine that failed recovers."""
    return not (answer.correction or answer.verified or answer.shortfall)


def _language(question: str) -> str:
    """What the answer is worded in: English, simplified or traditional Chinese."""
    if not has_han(question):
        return "en"
    return "zh-hans" if fold(question) == _plain(question).lower() else "zh-hant"


_UNIT = re.compile(
    r"(?<=\d) ?((?:[mM](?:(?i:w|wh|v|a|ah|hz|j|g|b|bit|byte|bps|pa|ω)?)|[kKgGtT]?[bB])(?![A-Za-z]))"
)
"""Units of which another case makes another: mW and MW, Mb and MB."""
_LENGTH = re.compile(r"(?<=\d)[\"'′″]")
"""Feet and inches."""
_CAPITALS = re.compile(r"(?<!\w)(?<!\d )[A-Z]{2,}(?!\w)")
_ASKING = {"who", "can", "may", "will"}


def _marks(question: str) -> list[str]:
    """What case and quotation marks tell of a question, and its normal form drops."""
    plain = _plain(question)
    marks = [*_UNIT.findall(plain), *_LENGTH.findall(plain)]
    if any(char.islower() for char in plain):
        # IT, US and WHO are names. In capitals throughout, nobody can tell.
        words = ((each, each.lower()) for each in _CAPITALS.findall(plain))
        marks += [each for each, word in words if word in function_words() or word in _ASKING]
    return marks


_LETTER = re.compile(r"(?<=[a-z] )A(?!\w)|(?<= )[AaIi](?=\s*(?:[?.!,;:)]|$))")
_LETTER_IN_CHINESE = re.compile(r"(?<![A-Za-z])[AaIi](?![A-Za-z])")


def _letters(question: str) -> list[str]:
    """The letters that name something and look like words of no weight: vitamin A, type I, A楼."""
    letter = _LETTER_IN_CHINESE if has_han(question) else _LETTER
    return [each.lower() for each in letter.findall(_plain(question))]


def _plain(question: str) -> str:
    return unicodedata.normalize("NFKC", question)
