"""The general words of a question and what they stand for, English and Chinese.

The lists in words/ are those of everyday life, driving and office work among it; a trade's own
synonyms are not there. A line is `tokens: wording | wording`; every wording becomes the tokens on
the left, a line without tokens drops its wordings, and a line of `=` leaves each as it is, whatever
shorter wordings it holds. A token's first character is its class:

    @  the kind of question          !  a negation
    ^  a word that turns the answer round or narrows it
    *  a plain verb: may go without saying, but not stand for another
    ~  a word that adds little

and all else is content. What says the same only beside certain words is in words/alike.txt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import chain, combinations
from typing import NamedTuple

from flywheel.search.terms import HAN_RUN, LATIN_WORD, fold, stem


class English(NamedTuple):
    """The wordings of the English lists."""

    exact: dict[tuple[str, ...], tuple[str, ...]]
    """The words of a wording → its tokens: a medication is no medic."""
    table: dict[tuple[str, ...], tuple[str, ...]]
    """The stems of a wording → its tokens; of wordings with the same stems, those of the shortest
    one."""
    lengths: dict[str, list[int]]
    """By the first stem of a wording, how many words there may be, the most first."""
    halves: dict[str, dict[tuple[str, ...], tuple[str, ...]]]
    """Wordings with other words between (get … off): first stem → other stems → tokens."""


class Alike(NamedTuple):
    """What says the same beside other words, and only there."""

    pairs: dict[frozenset[str], frozenset[str]]
    """Two tokens → beside which others one can stand for the other; empty where always."""
    unsaid: dict[str, frozenset[str]]
    """A token → beside which others it goes without saying."""


class Chinese(NamedTuple):
    """The wordings of the Chinese lists."""

    table: dict[str, tuple[str, ...]]
    lengths: dict[str, list[int]]
    """By the first character of a wording, how many there may be, the most first."""


class Courtesies(NamedTuple):
    """What may stand before or behind a question without being part of it."""

    phrases: frozenset[tuple[str, ...]]
    leading: re.Pattern[str]
    trailing: re.Pattern[str]


@cache
def english() -> English:
    """The English lists, ready to look up."""
    exact: dict[tuple[str, ...], tuple[str, ...]] = {}
    halves: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {}
    for tokens, each in _rows("english"):
        first, apart, second = each.partition(" … ")
        if apart:
            halves.setdefault(stem(first), {}).setdefault(_stems(second), tokens)
        else:
            exact.setdefault(tuple(each.split()), tokens)
    table = _by_stems(exact)
    for (kind, *nouns), each in _rows("english_kinds"):
        alike = (table.get((stem(noun),), (noun,)) for noun in nouns)
        exact[tuple(each.split())] = (kind, *chain.from_iterable(alike))
    table = _by_stems(exact)
    return English(exact, table, _lengths(table), halves)


def _by_stems(
    exact: dict[tuple[str, ...], tuple[str, ...]],
) -> dict[tuple[str, ...], tuple[str, ...]]:
    table: dict[tuple[str, ...], tuple[str, ...]] = {}
    for words in sorted(exact, key=lambda words: len(" ".join(words))):
        table.setdefault(_stems(" ".join(words)), exact[words])
    return table


def _lengths(wordings: Iterable[Sequence[str]]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    for each in wordings:
        found.setdefault(each[0], set()).add(len(each))
    return {first: sorted(each, reverse=True) for first, each in found.items()}


def _stems(wording: str) -> tuple[str, ...]:
    return tuple(stem(word) for word in wording.split())


@cache
def function_words() -> frozenset[str]:
    """English words without weight."""
    return frozenset(chain.from_iterable(line.split() for line in _lines("english_function")))


@cache
def chinese() -> Chinese:
    """The Chinese lists, ready to look up."""
    table = {each: tokens for name in ("chinese", "chinese_kinds") for tokens, each in _rows(name)}
    return Chinese(table, _lengths(table))


@cache
def chinese_events() -> frozenset[str]:
    """Tokens of what happens at one moment: 丢了 and 丢了之后 are the same."""
    return frozenset(chain.from_iterable(line.split() for line in _lines("chinese_events")))


@cache
def alike() -> Alike:
    """The list of what says the same beside other words: `tokens: beside beside`.

    One token at the left goes without saying; of several, each can stand for each.
    """
    pairs: dict[frozenset[str], frozenset[str]] = {}
    unsaid: dict[str, frozenset[str]] = {}
    for line in _lines("alike"):
        left, _, right = line.partition(":")
        tokens, beside = left.split(), frozenset(right.split())
        if len(tokens) == 1:
            unsaid[tokens[0]] = unsaid.get(tokens[0], frozenset()) | beside
        for pair in map(frozenset, combinations(tokens, 2)):
            known = pairs.get(pair, beside)
            pairs[pair] = known | beside if known and beside else frozenset()
    return Alike(pairs, unsaid)


@cache
def courtesies(place: str) -> Courtesies:
    """What may stand `before` or `after` a question."""
    every = [phrase.strip() for line in _lines(f"courtesies_{place}") for phrase in line.split("|")]
    han = "|".join(sorted((each for each in every if HAN_RUN.match(each)), key=len, reverse=True))
    words = frozenset(tuple(each.split()) for each in every if not HAN_RUN.match(each))
    return Courtesies(words, re.compile(f"^(?:{han})+"), re.compile(f"(?:{han})+$"))


def is_courtesy(text: str) -> bool:
    """Whether a text is nothing but what may stand before a question."""
    known, folded = courtesies("before"), fold(text)
    words = tuple(LATIN_WORD.findall(folded))
    han = "".join(HAN_RUN.findall(folded))
    return (words in known.phrases and not han) or (
        not words and bool(known.leading.fullmatch(han))
    )


def _rows(name: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(tokens, wording) for every wording of a list."""
    for line in _lines(name):
        tokens, _, wordings = line.partition(":")
        for each in (wording.strip() for wording in wordings.split("|")):
            yield (each,) if tokens == "=" else tuple(tokens.split()), each


def _lines(name: str) -> list[str]:
    text = (files("flywheel.search") / "words" / f"{name}.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
