"""What two editions of a document differ in: paragraph by paragraph, and within each word by word.

Compared are the passages that are kept of both, which a superseded document keeps, too. Chinese is
compared by characters, other text by words. Both sides are bounded, so that no pair of documents
keeps a server busy; what is left out is said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from flywheel.records import Passage
from flywheel.wheel.documents import alignment

RowKind = Literal["same", "changed", "removed", "added", "left_out"]

CONTEXT = 1
"""Equal paragraphs that are shown before and after a difference."""
MAX_PARAGRAPHS = 4000
"""Of each edition; the rest is not compared."""
MAX_TOKENS = 2000
"""Of a pair of paragraphs; longer ones are shown as a whole."""
MAX_PAIRS = 2500
"""Paragraphs of a rewritten stretch that are looked at for wordings of one another, as a product;
a longer stretch is shown as taken out and put in."""
LEAST_IN_COMMON = 0.5
"""Paragraphs that share less of their words are no wordings of one another."""

_TOKEN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]|\w+|\s+|[^\w\s]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A stretch of text, and whether only its edition has it."""

    text: str
    differs: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A paragraph of the older edition beside the one of the newer."""

    kind: RowKind
    older: tuple[Piece, ...] = ()
    newer: tuple[Piece, ...] = ()
    count: int = 0
    """Equal paragraphs that are not shown here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What two editions differ in."""

    rows: tuple[Row, ...]
    num_changed: int
    num_removed: int
    num_added: int
    is_cut: bool
    """There is more of one than was compared."""


def paragraphs(its_passages: Iterable[Passage]) -> list[str]:
    """A document's text in paragraphs, its headings among them."""
    found: list[str] = []
    headings: tuple[str, ...] = ()
    for each in its_passages:
        if each.headings != headings:
            shared = _num_shared(headings, each.headings)
            found += each.headings[shared:]
            headings = each.headings
        found += [line.strip() for line in each.text.split("\n") if line.strip()]
    return found


def difference(older: Sequence[str], newer: Sequence[str]) -> Difference:
    """What is no longer there, what is new, and what is worded otherwise."""
    is_cut = max(len(older), len(newer)) > MAX_PARAGRAPHS
    rows = list(_rows(older[:MAX_PARAGRAPHS], newer[:MAX_PARAGRAPHS]))
    kinds = [each.kind for each in rows]
    return Difference(
        rows=tuple(_abridged(rows)),
        num_changed=kinds.count("changed"),
        num_removed=kinds.count("removed"),
        num_added=kinds.count("added"),
        is_cut=is_cut,
    )


def _rows(older: Sequence[str], newer: Sequence[str]) -> Iterator[Row]:
    for differs, start, end, new_start, new_end in alignment.opcodes(older, newer):
        if not differs:
            for text in older[start:end]:
                yield Row(kind="same", older=(Piece(text=text),), newer=(Piece(text=text),))
        else:
            yield from _paired(older[start:end], newer[new_start:new_end])


def _paired(older: Sequence[str], newer: Sequence[str]) -> Iterator[Row]:
    """Each paragraph beside the next one that words the same, if there is one."""
    waiting = [(text, _words(text)) for text in newer]
    is_searched = len(older) * len(newer) <= MAX_PAIRS
    for text in older:
        words = _words(text)
        alike = (n for n, (_, other) in enumerate(waiting) if _is_wording(words, other))
        place = next(alike, None) if is_searched else None
        if place is None:
            yield Row(kind="removed", older=(Piece(text=text, differs=True),))
            continue
        for other, _ in waiting[:place]:
            yield Row(kind="added", newer=(Piece(text=other, differs=True),))
        yield _changed(text, waiting[place][0])
        waiting = waiting[place + 1 :]
    for other, _ in waiting:
        yield Row(kind="added", newer=(Piece(text=other, differs=True),))


def _words(text: str) -> Counter[str]:
    return Counter(token for token in _TOKEN.findall(text) if not token.isspace())


def _is_wording(one: Counter[str], two: Counter[str]) -> bool:
    """By the share of words that both have, as Dice has it."""
    return 2 * (one & two).total() >= LEAST_IN_COMMON * (one.total() + two.total())


def _changed(older: str, newer: str) -> Row:
    """Two wordings of a paragraph, with what differs marked."""
    sides = _TOKEN.findall(older), _TOKEN.findall(newer)
    if sum(map(len, sides)) > MAX_TOKENS:
        return Row(
            kind="changed",
            older=(Piece(text=older, differs=True),),
            newer=(Piece(text=newer, differs=True),),
        )
    pieces: tuple[list[Piece], list[Piece]] = ([], [])
    for differs, *bounds in _stretches(*sides):
        for own, tokens, (start, end) in zip(pieces, sides, bounds, strict=True):
            if start < end:
                own.append(Piece(text="".join(tokens[start:end]), differs=differs))
    return Row(kind="changed", older=tuple(pieces[0]), newer=tuple(pieces[1]))


_Bounds = tuple[int, int]


def _stretches(
    older: Sequence[str], newer: Sequence[str]
) -> Iterator[tuple[bool, _Bounds, _Bounds]]:
    """What is equal and what differs by turns, with the tokens of both; a space between two words
    that differ does, too, so that a phrase is marked as one."""
    opcodes = list(alignment.opcodes(older, newer))
    for differs, group in groupby(opcodes, lambda each: _differs(each, older, opcodes)):
        own = list(group)
        first, last = own[0], own[-1]
        yield differs, (first[1], last[2]), (first[3], last[4])


def _differs(
    opcode: tuple[bool, int, int, int, int],
    older: Sequence[str],
    opcodes: Sequence[tuple[bool, int, int, int, int]],
) -> bool:
    is_between = opcode not in (opcodes[0], opcodes[-1])
    is_space = not "".join(older[opcode[1] : opcode[2]]).strip()
    return opcode[0] or (is_between and is_space)


def _abridged(rows: Sequence[Row]) -> Iterator[Row]:
    """Without the equal paragraphs that stand far from every difference."""
    differing = [n for n, each in enumerate(rows) if each.kind != "same"]
    shown = {n + near for n in differing for near in range(-CONTEXT, CONTEXT + 1)}
    num_left_out = 0
    for place, each in enumerate(rows):
        if place not in shown:
            num_left_out += 1
            continue
        if num_left_out:
            yield Row(kind="left_out", count=num_left_out)
            num_left_out = 0
        yield each
    if num_left_out:
        yield Row(kind="left_out", count=num_left_out)


def _num_shared(one: Sequence[str], two: Sequence[str]) -> int:
    """How many headings two paths begin with alike."""
    shared = 0
    for left, right in zip(one, two, strict=False):
        if left != right:
            break
        shared += 1
    return shared
