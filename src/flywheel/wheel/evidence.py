"""Where evidence stands in the staged documents, as far as a reader may see them.

Compared without case, punctuation and white space, and across the passages of a document, so that
a sentence copied from a page is found wherever the page was cut.
"""

from __future__ import annotations

import threading
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING

from flywheel.evaluate.text import WORD, normalise
from flywheel.learn.feedback import Evidence
from flywheel.records import PUBLIC, Passage
from flywheel.store import documents

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from flywheel.wheel.workspace import Workspace

MAX_LOOKED_UP = 20
"""Pieces that the database looks for; for more, all passages are read once.

Reading 100,000 passages takes seconds, and a single correction must be served within one. What
the database does not find may still stand there, with a word broken at the end of a line: so
`recheck` looks again with the next documents or turn."""

MIN_LOOKED_UP_IN = 5_000
"""Passages that are read in 0.3 s."""

_NUM_WORDS = 3
_MAX_HOLDERS = 20
"""Places of one piece: a single word stands in thousands, and proves nothing more by that."""
_ONE_AT_A_TIME = threading.Lock()
"""Reading many passages keeps the interpreter to itself: with 16 at once over 10,000 passages, an
answer took 3.6 s instead of 15 ms, and each holds what it reads."""
_DOCUMENTS_END = "\n"
"""In no normal form, so that no piece runs from one document into the next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Holder:
    """One place where a piece of evidence stands, in one passage or across several."""

    passages: tuple[str, ...]
    access: tuple[str, ...]


class EvidenceIndex:
    """Normal forms of passages, one after the other, and whose each place is."""

    def __init__(self, passages: Iterable[Passage]) -> None:
        self._passages: list[tuple[str, tuple[str, ...]]] = []
        self._starts: list[int] = []
        parts: list[str] = []
        end = 0
        for _, of_document in groupby(passages, key=lambda passage: passage.document):
            for passage in of_document:
                form = normalise.__wrapped__(passage.text)
                self._passages.append((passage.id, passage.access))
                self._starts.append(end)
                parts.append(form)
                end += len(form)
            parts.append(_DOCUMENTS_END)
            end += 1
        self._text = "".join(parts)

    def locate(self, pieces: Sequence[str], readable: Sequence[str] | None = None) -> Evidence:
        """Where the pieces stand in what a reader of these labels may see; None sees all."""
        labels = None if readable is None else {PUBLIC, *readable}
        held = [self._holders(piece, labels) for piece in pieces]
        found = [holders for holders in held if holders]
        return Evidence(
            passages=tuple(
                dict.fromkeys(id for each in found for at in each for id in at.passages)
            ),
            access=tuple(_union(each) for each in found),
            unfound=tuple(place for place, holders in enumerate(held, 1) if not holders),
        )

    def _holders(self, piece: str, labels: set[str] | None) -> list[_Holder]:
        form = normalise(piece)
        holders = (self._holder(at, at + len(form)) for at in _places(form, self._text))
        visible = (each for each in holders if labels is None or labels & set(each.access))
        return list(islice(visible, _MAX_HOLDERS))

    def _holder(self, start: int, end: int) -> _Holder:
        first, last = bisect_right(self._starts, start) - 1, bisect_right(self._starts, end - 1)
        within = self._passages[first:last]
        return _Holder(passages=tuple(id for id, _ in within), access=within[0][1])


def locate_all(
    workspace: Workspace, evidence: Sequence[Sequence[str]], readable: Sequence[str] | None = None
) -> list[Evidence]:
    """Where each list of pieces stands, in the documents as they are staged now."""
    pieces = [piece for each in evidence for piece in each]
    if not pieces:
        return [Evidence() for _ in evidence]
    with _ONE_AT_A_TIME, workspace.database.read() as conn:
        few = len(pieces) <= MAX_LOOKED_UP and documents.num_passages(conn) > MIN_LOOKED_UP_IN
        passages = _look_up(conn, pieces) if few else documents.iterate_passages(conn)
        index = EvidenceIndex(passages)
        return [index.locate(each, readable) for each in evidence]


def _look_up(conn: Connection, pieces: Sequence[str]) -> list[Passage]:
    """The documents that may hold the pieces: those with a passage that has a piece's words.

    Only where there is none, those that have the words anywhere, since a piece may run over the
    end of a passage.
    """
    words = {piece: each for piece in pieces if (each := _telling_words(piece))}
    found = list(documents.passages_with(conn, words.values(), in_one=True))
    unfound = EvidenceIndex(found).locate(list(words)).unfound
    rest = [each for place, each in enumerate(words.values(), 1) if place in unfound]
    others = documents.passages_with(conn, rest, in_one=False) if rest else ()
    return list({each.id: each for each in (*found, *others)}.values())


def _telling_words(piece: str) -> list[str]:
    """The longest runs of letters and digits: the fewest passages hold them."""
    words = set(WORD.findall(unicodedata.normalize("NFKC", piece)))
    return sorted(words, key=lambda word: (-len(word), word))[:_NUM_WORDS]


def _places(form: str, text: str) -> Iterator[int]:
    at = text.find(form) if form else -1
    while at >= 0:
        yield at
        at = text.find(form, at + 1)


def _union(holders: Sequence[_Holder]) -> tuple[str, ...]:
    return tuple(sorted({label for each in holders for label in each.access}))
