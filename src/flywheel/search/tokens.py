"""Pieces of a question → general words, the same for many wordings, in the order of the question.

What they are classes of, search/vocabulary.py says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

from flywheel.search.pieces import Piece
from flywheel.search.terms import stem
from flywheel.search.vocabulary import chinese, chinese_events, english, function_words

_NUMERALS = re.compile("[零一二两三四五六七八九十百千万]+")
_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2}
_POWERS = {"十": 10, "百": 100, "千": 1_000, "万": 10_000}
_NUMBER_WORDS = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8",
    "nine": "9", "ten": "10", "eleven": "11", "twelve": "12", "fifteen": "15", "twenty": "20",
    "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100",
}  # fmt: skip
"""Without `one`, which seldom counts."""
_UNITS = {"m", "l", "v", "h", "s"}
"""Letters that are a unit behind a number and a name elsewhere."""

_SIGNS = {"%": "^percent", "°": "^degree", "°c": "^degree"}

_IN_TIME = {"^前": "^之前", "^后": "^之后"}
_MAX_BETWEEN = 5
"""Words between the halves of a wording."""
_WHY = re.compile(
    "怎么(?:就|老|总|总是|还|又|突然|一直)?(?="
    "[不没]|[^不没]{1,2}不(?:了|上|下|出|进|掉|动|着|开|到|住|起|来|去|亮|好|干净))"
)
"""How come: 怎么关不掉, 怎么不亮."""
_EITHER = re.compile("([^有可能会要是行让准好需应该用许允支对必贵])[不没]\\1")
"""Whether or not: 退不退."""


class Token(NamedTuple):
    """A general word."""

    text: str
    source: str
    """The word that it stands for, where it stands for one."""


def tokens_of(pieces: Sequence[Piece]) -> list[Token]:
    """The general words of a question; what a list drops is left out."""
    return _in_time(list(_tokens(pieces)))


def _tokens(pieces: Sequence[Piece]) -> Iterator[Token]:
    """The pieces in general words; what a list drops is left out."""
    pieces, position = list(pieces), 0
    while position < len(pieces):
        piece = pieces[position]
        taken = 1
        if piece.kind == "number":
            yield Token("#" + piece.text, piece.text)
        elif piece.kind == "sign":
            yield Token(_SIGNS.get(piece.text, "^" + piece.text), "")
        elif piece.kind == "han":
            yield from _han_tokens(piece.text)
        elif apart := _apart(pieces, position):
            first, *rest = apart.tokens
            pieces[apart.start : apart.end] = [Piece(token, "token") for token in rest]
            yield Token(first, "")
        elif piece.kind == "token":
            yield Token(piece.text, "")
        elif found := _phrase(pieces, position):
            taken = found.length
            source = piece.text if taken == 1 else ""
            yield from (Token(token, source) for token in found.tokens)
        elif piece.text in _NUMBER_WORDS:
            yield Token("#" + _NUMBER_WORDS[piece.text], "")
        elif piece.text not in function_words():
            yield Token(stem(piece.text), piece.text)
        position += taken


def _in_time(stream: Sequence[Token]) -> list[Token]:
    """前 and 后 are of time behind an event, and where they could be the front or back of nothing.

    What has happened stays so, and after it need not be said.
    """
    placed: list[Token] = []
    for token, behind in zip_longest(stream, stream[1:]):
        of_event = bool(placed) and placed[-1].text in chinese_events()
        in_time = of_event or behind is None or behind.text[0] in "@#!"
        text = _IN_TIME.get(token.text, token.text) if in_time else token.text
        if not (of_event and text == "^之后"):
            placed.append(Token(text, token.source))
    return placed


class _Apart(NamedTuple):
    start: int
    end: int
    """Where the second half stands."""
    tokens: tuple[str, ...]


def _apart(pieces: Sequence[Piece], position: int) -> _Apart | None:
    """The wording in two halves that starts here: get … off."""
    halves = english().halves.get(stem(pieces[position].text))
    if not halves:
        return None
    for start in range(position + 2, min(position + _MAX_BETWEEN + 2, len(pieces))):
        for second, tokens in halves.items():
            end = start + len(second)
            if tuple(stem(piece.text) for piece in pieces[start:end]) == second:
                if _spans(pieces, position + 1, start):
                    continue
                return _Apart(start, end, tokens)
    return None


def _spans(pieces: Sequence[Piece], first: int, end: int) -> bool:
    """Whether a wording from before goes on at the end: get a day off."""
    found = ((at, _phrase(pieces, at)) for at in range(first, end) if pieces[at].kind == "word")
    return any(phrase and at + phrase.length > end for at, phrase in found)


class _Phrase(NamedTuple):
    length: int
    tokens: tuple[str, ...]


def _phrase(pieces: Sequence[Piece], position: int) -> _Phrase | None:
    """The longest wording of the English tables that starts here."""
    first = pieces[position].text
    counted = position > 0 and pieces[position - 1].kind == "number"
    if len(first) == 1 and first in _UNITS and not counted:
        return None
    exact, table, lengths, _ = english()
    for length in lengths.get(stem(first), ()):
        words = tuple(piece.text for piece in pieces[position : position + length])
        tokens = exact.get(words, table.get(tuple(map(stem, words))))
        if tokens is not None:
            return _Phrase(length, tokens)
    return None


def _han_tokens(run: str) -> tuple[Token, ...]:
    """A run of Chinese: the wordings of the lists, numbers, and single characters."""
    table, lengths = chinese()
    run = _EITHER.sub(r"是否\1", _WHY.sub("为什么", run))
    tokens: list[Token] = []
    position = 0
    while position < len(run):
        parts = (run[position : position + each] for each in lengths.get(run[position], ()))
        text = next((part for part in parts if part in table), "")
        if text:
            tokens.extend(Token(token, text) for token in table[text])
        elif numerals := _NUMERALS.match(run, position):
            text = numerals[0]
            tokens.append(Token("#" + value_of(text), text))
        else:
            text = run[position]
            tokens.append(Token(text, text))
        position += len(text)
    return tuple(tokens)


def value_of(numerals: str) -> str:
    """一百二十 → 120; 二零二五 → 2025."""
    if not any(char in _POWERS for char in numerals):
        return "".join(str(_DIGITS[char]) for char in numerals)
    total = section = digit = 0
    for char in numerals:
        if char in _DIGITS:
            digit = _DIGITS[char]
        elif char == "万":
            total, section, digit = (total + section + digit) * 10_000, 0, 0
        else:
            section, digit = section + (digit or 1) * _POWERS[char], 0
    return str(total + section + digit)
