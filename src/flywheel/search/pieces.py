"""A question → its pieces: words, numbers, signs, runs of Chinese; without what is only polite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from flywheel.search.terms import HAN_RUN, fold
from flywheel.search.vocabulary import Courtesies, chinese, courtesies

_HAN = HAN_RUN.pattern.removesuffix("+")
_PIECE = re.compile(
    rf"(?P<number>(?:(?<![a-z\d])-)?(?:(?<![a-z\d.])\.)?\d+(?:[.,:/]\d+)*)|(?P<han>{_HAN}+)"
    rf"|(?P<word>(?!\d)(?:(?!{_HAN})[^\W_])+)|(?P<sign>°[cf]?|[%‰$€£¥₩₹+#<>=&±∓×÷≠≈≤≥≦≧→←])"
)
_THOUSANDS = re.compile(r",(?=\d{3}(?!\d))")
_HALF_HOUR = re.compile("(?:30|三十) ?分钟|半个?(?:小时|钟头)")
_MINUS = re.compile(r"(?:\bminus |零下 ?|(?<![a-z\d])(?<!\d )[\u2212–—] ?)(?=\.?\d)")
"""Dashes too, which many a program makes of a minus; not those of a range: 8 – 10."""
_NOT = re.compile(
    r"\b(ca|wo|sha|could|would|should|must|need|do|does|did|is|are|was|were|has|have|had)n"
    r"(?:['’`]t|t)\b"
)
_WHOLE = {"ca": "can", "wo": "will", "sha": "shall"}
_ENDING = re.compile(r"(?<=\w)['’`](?:s|m|re|ve|d|ll)\b")


class Piece(NamedTuple):
    """A part of a question that is read at once."""

    text: str
    kind: str
    """number, han, word, sign, or token for what is read already"""


def pieces_of(text: str) -> list[Piece]:
    """The pieces in their order, folded; contractions written out."""
    folded = _HALF_HOUR.sub("半小时", _MINUS.sub("-", fold(text).replace("\u2044", "/")))
    folded = _NOT.sub(lambda found: f"{_WHOLE.get(found[1], found[1])} not", folded)
    folded = _ENDING.sub("", folded.replace("cannot", "can not").replace("what's", "what is"))
    found = (_piece_in_chinese() if HAN_RUN.search(folded) else _PIECE).finditer(folded)
    return [Piece(_plain(each[0]), each.lastgroup or "") for each in found]


@cache
def _piece_in_chinese() -> re.Pattern[str]:
    """As `_PIECE`, with the Latin wordings of the Chinese lists in the run: 连wifi."""
    latin = "|".join(
        re.escape(each)
        for each in sorted(chinese().table, key=len, reverse=True)
        if re.search("[a-z]", each)
    )
    run = rf"(?P<han>(?:(?<![a-z0-9])(?:{latin})(?![a-z])|{_HAN})+)"
    return re.compile(f"{run}|{_PIECE.pattern.replace('han>', '_>')}")


def _plain(piece: str) -> str:
    return _THOUSANDS.sub("", piece)


def without_courtesies(pieces: list[Piece]) -> list[Piece]:
    """Cuts off greetings before and thanks behind, as often as they come."""
    before, after = courtesies("before"), courtesies("after")
    pieces = list(pieces)
    while pieces and (count := _courtesy(before, pieces, from_end=False)):
        del pieces[:count]
    while pieces and (count := _courtesy(after, pieces, from_end=True)):
        del pieces[-count:]
    if pieces and pieces[0].kind == "han":
        pieces[0] = Piece(before.leading.sub("", pieces[0].text), "han")
    if pieces and pieces[-1].kind == "han":
        pieces[-1] = Piece(after.trailing.sub("", pieces[-1].text), "han")
    return [piece for piece in pieces if piece.text]


def _courtesy(known: Courtesies, pieces: Sequence[Piece], *, from_end: bool) -> int:
    """How many pieces the longest courtesy takes at an end."""
    for count in range(min(6, len(pieces)), 0, -1):
        part = pieces[-count:] if from_end else pieces[:count]
        if part[0].kind == "han":
            bare = (known.trailing if from_end else known.leading).sub("", part[0].text)
            if count == 1 and not bare:
                return 1
        elif tuple(piece.text for piece in part) in known.phrases:
            return count
    return 0


def key_of(core: Sequence[Piece]) -> str:
    """The pieces as they are, but for the particle that only makes them a question."""
    joined = " ".join(piece.text for piece in core)
    return joined.rstrip("吗") or joined
