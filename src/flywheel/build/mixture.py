"""What a model learns from, put together: documents, general language, exercises, conversations.

Of each kind a part is held out, by what an item says alone, so that it stays out from turn to turn;
losses are told on it. What shares its wording with the exam is left out (overlap.py).

Not here: tokens and batches, and in which order a model learns (loop.py).
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Generic, TypeVar

from flywheel.answer.prompt import PROMPT_VERSION
from flywheel.build import exercises
from flywheel.build.conversations import Training
from flywheel.build.exercises import IN_EXAM, Dropped, Exercises, Library
from flywheel.build.overlap import Overlap
from flywheel.errors import FileFormatError, SourceError
from flywheel.records import Conversation, ConversationPair, Example, Message, Passage, Preference

CODE_VERSION = 1000 * PROMPT_VERSION + 1
"""Changes with the prompt's words too: they are in every exercise."""

HELD_OUT_SHARE = 0.05
FEWEST_ITEMS = 20
"""Fewer conversations or pairs than this are all learned from."""
GENERAL_SHARE = 0.1
"""Of the bytes of documents and general language together. 1 % already takes back much of what a
model would forget while it is trained further; 5 % was enough for texts close to its own, 25 % went
to another language: Ibrahim et al., "Simple and Scalable Strategies to Continually Pre-train Large
Language Models" (2024)."""
GENERAL_HELD_OUT_BYTES = 64 * 1024
"""For the forgetting score: enough for a steady one, or a fifth of what there is."""
PIECE_CHARACTERS = 4000
"""Of general text that is held out, or learned from, together."""

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts(Generic[T]):
    """What is learned from, and what is held out to measure on."""

    train: tuple[T, ...] = ()
    held_out: tuple[T, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Mixture:
    """All that one model learns from."""

    documents: Parts[str]
    """One text each."""
    general: Parts[str] = field(default_factory=lambda: Parts())
    conversations: Parts[Conversation] = field(default_factory=lambda: Parts())
    pairs: Parts[ConversationPair] = field(default_factory=lambda: Parts())
    dropped: tuple[Dropped, ...] = ()


def mix(
    library: Library,
    *,
    num_made: int,
    examples: Sequence[Example] = (),
    preferences: Sequence[Preference] = (),
    files: Sequence[Training] = (),
    general: Sequence[Path] = (),
    teach: Callable[[Exercises], Exercises] = lambda made: made,
) -> Mixture:
    """The mixture for one domain; the same for the same library.

    No question is made of documents that are held out. What users corrected is learned from
    whichever document it is about.

    Args:
        num_made: questions to make from the passages, at most.
        files: what users' files hold (conversations.read_training).
        general: text files in UTF-8, mixed in at GENERAL_SHARE.
        teach: words the answers of made questions anew. What users corrected, and what files
            hold, stays as it is.

    Raises:
        SourceError: a file of general text is not there.
        FileFormatError: it is not UTF-8.
    """
    documents = split_documents(library.passages)
    held_out = frozenset(each.document for each in documents.held_out)
    from_questions = (
        teach(exercises.made(library, num_made, without=held_out)),
        exercises.taught(library, examples),
        exercises.preferred(library, preferences),
    )
    every = [*from_questions, *(_clean(each, library.exam) for each in files)]
    texts = Parts(
        train=tuple(each.text for each in documents.train),
        held_out=tuple(each.text for each in documents.held_out),
    )
    num_bytes = sum(len(text.encode()) for text in texts.train)
    wanted = round(num_bytes * GENERAL_SHARE / (1 - GENERAL_SHARE))
    return Mixture(
        documents=texts,
        general=general_texts(general, wanted, library.exam),
        conversations=parted([item for each in every for item in each.conversations], _said),
        pairs=parted([item for each in every for item in each.pairs], _offered),
        dropped=tuple(item for each in every for item in each.dropped),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """One document's passages as one text."""

    document: str
    """Its id."""
    text: str


def texts(passages: Iterable[Passage]) -> Parts[str]:
    """The documents as texts to read on, some held out (`split_documents`)."""
    parts = split_documents(passages)
    return Parts(
        train=tuple(each.text for each in parts.train),
        held_out=tuple(each.text for each in parts.held_out),
    )


def split_documents(passages: Iterable[Passage]) -> Parts[Whole]:
    """The documents, a share of them held out by what they say; one at least of several.

    Where chance would hold out none, the first by its hash of those that are no longer than most.
    Of a single document nothing is held out.
    """
    ordered = sorted(passages, key=lambda each: (each.document, each.position))
    every = [
        Whole(document=document, text=joined(list(of)))
        for document, of in groupby(ordered, key=lambda each: each.document)
    ]
    short = sorted(every, key=lambda each: len(each.text))[: (len(every) + 1) // 2]
    chosen = {each.document for each in every if _chance(each.text) < HELD_OUT_SHARE}
    if len(chosen) in (0, len(every)) and len(every) > 1:
        chosen = {min(short, key=lambda each: _chance(each.text)).document}
    elif len(every) == 1:
        chosen = set()
    return Parts(
        train=tuple(each for each in every if each.document not in chosen),
        held_out=tuple(each for each in every if each.document in chosen),
    )


def joined(passages: Sequence[Passage]) -> str:
    """A document's passages as one text: its title first, headings where they change."""
    parts = [passages[0].title]
    above: tuple[str, ...] = ()
    for passage in passages:
        same = 0
        while same < min(len(above), len(passage.headings)) and (
            above[same] == passage.headings[same]
        ):
            same += 1
        parts += passage.headings[same:]
        # A passage under the outer heading alone, after one under an inner, needs no heading again.
        above = passage.headings
        parts.append(passage.text)
    return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"


def parted(items: Sequence[T], said: Callable[[T], str]) -> Parts[T]:
    """Items with a share held out by what they say; none of fewer than FEWEST_ITEMS."""
    if len(items) < FEWEST_ITEMS:
        return Parts(train=tuple(items))
    chances = [_chance(said(each)) for each in items]
    limit = max(HELD_OUT_SHARE, min(chances) + 1e-12)
    pairs = list(zip(items, chances, strict=True))
    return Parts(
        train=tuple(item for item, chance in pairs if chance >= limit),
        held_out=tuple(item for item, chance in pairs if chance < limit),
    )


def general_texts(paths: Sequence[Path], num_bytes: int, exam: Overlap) -> Parts[str]:
    """Pieces of general text of about so many bytes, and some more held out.

    Chosen by their hashes, over all files alike. Memory grows with what is kept, not with the
    files.

    Raises:
        SourceError: a file is not there.
        FileFormatError: a file is not UTF-8.
    """
    if not paths:
        return Parts()
    pieces = _Lowest(num_bytes + GENERAL_HELD_OUT_BYTES)
    for path in paths:
        for piece in _pieces(path):
            pieces.add(_chance(piece), piece)
    every = [piece for piece in pieces.in_order() if not exam.holds(piece)]
    held_out = _leading(every, min(GENERAL_HELD_OUT_BYTES, pieces.seen_bytes // 5))
    return Parts(train=tuple(_leading(every[len(held_out) :], num_bytes)), held_out=tuple(held_out))


class _Lowest:
    """Texts of the lowest keys, up to so many bytes and one more, whatever order they come in."""

    def __init__(self, limit_bytes: int) -> None:
        self.seen_bytes = 0
        self._limit, self._kept = limit_bytes, 0
        self._heap: list[tuple[float, str]] = []

    def add(self, key: float, text: str) -> None:
        size = len(text.encode())
        heapq.heappush(self._heap, (-key, text))
        self._kept += size
        self.seen_bytes += size
        while self._kept - len(self._heap[0][1].encode()) >= self._limit:
            self._kept -= len(heapq.heappop(self._heap)[1].encode())

    def in_order(self) -> list[str]:
        return [text for _, text in sorted(self._heap, reverse=True)]


def _pieces(path: Path) -> Iterator[str]:
    """A text file in pieces that end with a line, or within one that is longer than a piece."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines: list[str] = []
            size = number = 0
            while line := file.readline(PIECE_CHARACTERS):
                number += 1
                lines.append(line)
                size += len(line)
                if size >= PIECE_CHARACTERS:
                    yield "".join(lines)
                    lines, size = [], 0
            if "".join(lines).strip():
                yield "".join(lines)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(path, number + 1, "not UTF-8; save the file as UTF-8") from error


def _leading(texts: Sequence[str], num_bytes: int) -> list[str]:
    """The first texts, until they have so many bytes."""
    kept: list[str] = []
    total = 0
    for text in texts:
        if total >= num_bytes:
            break
        kept.append(text)
        total += len(text.encode())
    return kept


def _clean(training: Training, exam: Overlap) -> Exercises:
    """A file's conversations and pairs, without those that share their wording with the exam.

    What the file's reading skipped is told with the rest.
    """

    def is_clean(messages: Iterable[Message], *replies: str) -> bool:
        return not exam.holds(*(each.content for each in messages), *replies)

    conversations = [each for each in training.conversations if is_clean(each.messages)]
    pairs = [each for each in training.pairs if is_clean(each.prompt, each.chosen, each.rejected)]
    num_taken = len(conversations) + len(pairs)
    num_dropped = len(training.conversations) + len(training.pairs) - num_taken
    return Exercises(
        conversations=tuple(conversations),
        pairs=tuple(pairs),
        dropped=(
            *(Dropped(id="", reason=each.reason) for each in training.skipped),
            *(Dropped(id="", reason=IN_EXAM),) * num_dropped,
        ),
    )


def _said(item: Conversation) -> str:
    return "\0".join(each.content for each in item.messages)


def _offered(item: ConversationPair) -> str:
    """By the prompt alone, so that pairs of one prompt stay together."""
    return "\0".join(each.content for each in item.prompt)


def _chance(text: str) -> float:
    """A number in [0, 1) that follows from the text alone."""
    digest = hashlib.blake2b(text.encode(errors="backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
